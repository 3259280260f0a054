"""The link emulator without its sockets: packets a second through a chain and the calendar."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bench.link.calendar import Calendar
from bench.link.chain import Chain
from bench.link.spec import parse_link
from bench.link.traffic import Traffic

Benchmark = Callable[..., Any]
LINK = "rate=2G,delay=20ms,loss=1%,burst=4"
SIZE = 1468


@pytest.mark.parametrize(("links", "packets"), [(1, 44), (1, 352), (200, 4)])
def test_link(benchmark: Benchmark, links: int, packets: int) -> None:
    """Carry a batch to so many boxes, and take what is due off the calendar."""
    chain, calendar = Chain(parse_link(LINK), links, (1,)), Calendar(1e-3)
    rows = np.zeros((packets, SIZE), dtype=np.uint8)
    sizes = np.full(packets, SIZE, dtype=np.int64)
    clock = {"now": 0.0}

    def carry() -> None:
        clock["now"] += packets * 1e-5
        traffic = Traffic.arriving(np.full(packets, clock["now"]), sizes, links)
        chain.carry(traffic)
        calendar.add(rows, traffic)
        calendar.departures(clock["now"])

    benchmark(carry)
    assert chain.report(0)["offered"] > 0
    benchmark.extra_info["packets"] = packets * links  # type: ignore[attr-defined]
