"""Answers of real kernels (qdiscs.json: rtnetlink messages in hexadecimal), and what follows from them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from headend.link.qdisc import LEAD_S, KernelPacing, Qdisc, dump_request, kernel_pacing, parse_qdiscs

RECORDED = json.loads((Path(__file__).parent / "qdiscs.json").read_text())
ROOT = 0xFFFFFFFF
SHAPER = Qdisc(2, 0x80010000, ROOT, "tbf", rate_bps=106e6, limit_bytes=1 << 20, burst_s=1e-3)


def parse(name):
    first, last = (parse_qdiscs(bytes.fromhex(part)) for part in RECORDED[name])
    assert not first[1]
    assert last == ([], True)
    return first[0]


def test_a_shaper_is_read_from_the_kernels_answer():
    """As `tc qdisc add dev v0 root tbf rate 106mbit burst 14k limit 1m` made it."""
    (shaper,) = (each for each in parse("tbf, Linux 6.18") if each.kind == "tbf")
    assert (shaper.rate_bps, shaper.limit_bytes) == (106e6, 1 << 20)
    assert shaper.burst_s == pytest.approx(14 * 1024 * 8 / 106e6, rel=1e-3)
    assert kernel_pacing([shaper], shaper.index, 103e6) == KernelPacing("tbf", LEAD_S, needs_rate=False)


@pytest.mark.parametrize("name", ["fq, Linux 6.1", "mq with fq, Linux 6.1"])
def test_fair_queueing_paces_whoever_names_a_rate(name):
    qdiscs = parse(name)
    index = next(each.index for each in qdiscs if each.kind == "fq")
    assert kernel_pacing(qdiscs, index, 5e9) == KernelPacing("fq", LEAD_S, needs_rate=True)
    assert kernel_pacing(qdiscs, 1, 5e9) is None, "lo has no queue"


def test_one_queue_without_fq_is_enough_to_pace_ourselves():
    qdiscs = [
        each if each.parent & 0xFFFF != 2 else replace(each, kind="fq_codel") for each in parse("mq with fq, Linux 6.1")
    ]
    assert "fq" in {each.kind for each in qdiscs}
    assert kernel_pacing(qdiscs, qdiscs[-1].index, 5e9) is None


@pytest.mark.parametrize(
    ("shaper", "rate_bps"),
    [
        (SHAPER, 110e6),
        (SHAPER, 50e6),
        (replace(SHAPER, burst_s=10e-3), 103e6),
        (replace(SHAPER, limit_bytes=20_000), 103e6),
        (replace(SHAPER, parent=0x10001), 103e6),
        (replace(SHAPER, kind="fq_codel"), 103e6),
    ],
    ids=["too-slow", "far-too-fast", "long-bursts", "short-queue", "not-the-root", "spaces-nothing"],
)
def test_a_queue_that_would_drop_or_burst_is_not_relied_on(shaper, rate_bps):
    assert kernel_pacing([SHAPER], 2, 103e6) is not None
    assert kernel_pacing([shaper], 2, rate_bps) is None


def test_a_short_queue_shortens_the_lead():
    pacing = kernel_pacing([replace(SHAPER, limit_bytes=200_000)], 2, 103e6)
    assert pacing is not None
    assert pacing.lead_s == pytest.approx(200_000 * 8 / 2 / 103e6)


def test_the_request_is_one_message():
    request = dump_request()
    assert int.from_bytes(request[:4], "little") == len(request) == 36
