"""Connections that share a rate: what is moved, and who is done when, whatever the steps."""

import numpy as np
import pytest

from bench.fleet.storm.transfers import Transfers

NOBODY = np.zeros((1, 2), dtype=np.int64)
AN_INSTANT_S = 1e-6


def run(transfers, rate_bps, step_s, count, crowd_of=lambda index: NOBODY, begin_s=0.0):
    moved, done = 0.0, []
    for index in range(count):
        bits, some = transfers.go_on(crowd_of(index), rate_bps, begin_s + index * step_s, step_s, index)
        moved += bits
        done += some
    return moved, done


def test_shares_fill_lines_first():
    """Ten over lines of 1 Mb/s, ten over 100 Mb/s, 60 Mb/s for all: 1 Mb/s and 5 Mb/s each."""
    transfers = Transfers([1e6, 100e6], [5e6, 5e6])
    run(transfers, 60e6, AN_INSTANT_S, 1, lambda index: np.array([[10, 10]]))
    _, done = run(transfers, 60e6, 0.003, 2000, begin_s=AN_INSTANT_S)
    assert [each.counts.tolist() for each in done] == [[0, 10], [10, 0]]
    assert [each.took_s for each in done] == pytest.approx([1.0, 5.0], rel=0.003)


@pytest.mark.parametrize("step_s", [0.05, 0.4, 4.0, 40.0])
def test_a_transfer_takes_as_long_as_its_line_where_the_server_has_more(step_s):
    transfers = Transfers([1e6, 8e6], [8e6, 8e6])
    coming = int(40 / step_s)
    crowd = np.array([[round(1000 * step_s), round(3000 * step_s)]])
    moved, done = run(transfers, 1e12, step_s, 3 * coming, lambda index: crowd if index < coming else NOBODY)
    assert moved == pytest.approx(40 * 4000 * 8e6, rel=1e-9)
    for group, took_s in ((0, 8.0), (1, 1.0)):
        counts = np.array([each.counts[group] for each in done])
        assert counts.sum() == coming * crowd[0, group]
        times_s = np.array([each.took_s for each in done])[counts > 0]
        assert times_s == pytest.approx(took_s, rel=1e-6)


def test_a_server_that_has_work_sends_all_it_can_and_steps_do_not_show():
    """Twice as many come for 60 s as it can serve, over lines of two kinds; then it works off what is left."""
    served = []
    for step_s in (0.02, 0.1, 0.5, 2.0):
        transfers = Transfers([1e6, 50e6], [4e6, 4e6])
        coming, rate_bps = round(60 / step_s), 4e9
        crowd = np.array([[round(1000 * step_s), round(1000 * step_s)]])
        moved, done = run(transfers, rate_bps, step_s, coming, lambda index, crowd=crowd: crowd)
        served.append(sum(int(each.counts.sum()) for each in done))
        assert moved == pytest.approx(60 * rate_bps, rel=1e-3)
        more, rest = run(transfers, rate_bps, step_s, 2 * coming, begin_s=60.0)
        assert transfers.active == 0
        assert served[-1] + sum(int(each.counts.sum()) for each in rest) == 120_000
        assert moved + more == pytest.approx(120_000 * 4e6, rel=1e-6)
        assert max(each.at_s for each in rest) == pytest.approx(120.05, abs=0.1 + step_s)
    assert served == pytest.approx([served[0]] * len(served), rel=0.005)


def test_there_is_room_for_who_comes_after_whom():
    """A hundred connections, 0.5 s each: two hundred a second, and a hundred in an instant."""
    transfers = Transfers([8e6, 8e6], [4e6, 4e6])
    many = np.array([[5000, 5000]])
    assert transfers.room_for(many, 10_000, 100, 0.1) == 100
    assert transfers.room_for(many, 10_000, 100, 5.0) == 1000
    transfers.go_on(np.array([[50, 50]]), 1e12, 0.0, 0.25, 0)
    assert transfers.room_for(many, 10_000, 100, 0.25) == 0  # the first is done after half a second
    transfers.go_on(NOBODY, 1e12, 0.25, 0.25, 1)
    assert transfers.room_for(many, 10_000, 100, 0.25) == 100
    assert transfers.room_for(np.array([[10, 0]]), 10, 120, 0.25) == 10


def test_who_is_cut_off_or_leaves_was_sent_what_it_was_sent():
    transfers = Transfers([1e6, 1e6], [8e6, 8e6])
    run(transfers, 1e12, 1.0, 4, lambda index: np.array([[100, 20]]))
    (first, second) = transfers.time_out(1.6)
    assert (first.tolist(), second.tolist(), transfers.active) == ([[100, 20]], [[100, 20]], 240)
    gone = list(transfers.drop_some(np.array([1.0, 0.0]), 4.0, np.random.default_rng(1)))
    assert [(each.asked_at, each.counts.tolist(), each.took_s) for each in gone] == [
        (2, [100, 0], 1.5), (3, [100, 0], 0.5)]  # fmt: skip
    moved, done = run(transfers, 1e12, 1.0, 8, begin_s=4.0)
    assert sum(int(each.counts.sum()) for each in done) == 40
    assert moved == pytest.approx(20 * (8e6 - 1.5e6) + 20 * (8e6 - 0.5e6))
