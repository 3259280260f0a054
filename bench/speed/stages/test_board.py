"""The stub's boot decision, as fast code on this machine: record, header, SHA-256 of the image."""

from collections.abc import Callable
from typing import Any

import pytest

from bench.speed.board import HARDWARE, make_image
from bench.virtual.stubboard import STUB, Board, Decision, Geometry, build

Benchmark = Callable[..., Any]


@pytest.mark.parametrize("image_kib", [1, 64, 1024])
def test_boot_decision(benchmark: Benchmark, image_kib: int) -> None:
    """Choose and verify a confirmed image of so many KiB."""
    build("build/libstub-fast.so")
    image = make_image(image_kib * 1024)
    board = Board(Geometry(4096, 2 + image_kib // 4), HARDWARE, path=STUB / "build" / "libstub-fast.so")
    assert board.install(image.header, image.content) == 0
    assert isinstance(board.boot(), Decision)
    assert board.confirm() == 0
    decision = benchmark(board.boot)
    assert decision.reason == 1
