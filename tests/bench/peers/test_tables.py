"""What is made of transfers, with made-up ones."""

from contextlib import nullcontext
from dataclasses import dataclass

import pytest

from bench.peers import tables
from bench.peers.measure import Outcome
from bench.peers.tables import Setup, cost

IMAGE_BYTES = 1_000_000


@dataclass(frozen=True)
class MadeUpTool:
    name: str
    is_server: bool = False


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Transfers that end at once: (tool, late starts), in the order in which they were asked for."""
    calls = []

    def transfer(lab, tool, what, loss, limit_s, late_s=()):
        calls.append((tool.name, late_s))
        if tool.name == "broken":
            return Outcome((None,), 0, 1.0, 1.0)
        if late_s:
            return Outcome((), 0, 9.0, 0.0, (12.0,), 0.004 + 0.001 * len(calls))
        return Outcome((5.0,), 0, 0.002, 0.001 * len(calls))

    monkeypatch.setattr(tables, "transfer", transfer)
    monkeypatch.setattr(tables, "Lab", lambda boxes: nullcontext())
    return calls


@pytest.fixture
def setup(tmp_path):
    (tmp_path / "image").write_bytes(bytes(IMAGE_BYTES))
    tools = (tables.OURS, MadeUpTool("UFTP"), MadeUpTool("broken"), MadeUpTool("HTTP", is_server=True))
    return Setup(tmp_path, tmp_path, tools, 2, lambda line: None)


def test_tools_take_turns_and_one_that_failed_is_left_out(asked, setup):
    rows = {(row["tool"], row["start"]): row for row in cost(setup)}
    assert [name for name, late in asked if not late] == ["bootcast", "UFTP", "broken", "bootcast", "UFTP"]
    assert set(rows) == {("bootcast", "from the start"), ("bootcast", "tuned in at random"), ("UFTP", "from the start")}
    ours = rows["bootcast", "from the start"]
    assert ours["sender_cpu_s_per_gb"] == pytest.approx(2.0)
    assert ours["receiver_cpu_s_per_gb"] == pytest.approx(3.0), "the median of 1 and 5"
    assert rows["bootcast", "tuned in at random"]["sender_cpu_s_per_gb"] is None


def test_boxes_tune_in_all_over_the_cycle(asked, setup):
    list(cost(setup))
    cycle_s = 2 * IMAGE_BYTES * 8 / tables.COST_BPS
    first, second = (late_s[0] for _, late_s in asked if late_s)
    assert 0 <= first < cycle_s / 2 <= second < cycle_s
