import numpy as np
import pytest

from bench.link.calendar import Calendar
from bench.link.chain import Chain
from bench.link.spec import parse_link
from bench.link.traffic import Traffic

LINK = "rate=20M,delay=20ms,jitter=5ms,loss=5%,burst=3,reorder=1%,duplicate=1%,corrupt=1%"


def carried(chain, count, cuts, gap_s=1e-3):
    """Send packets through in batches; return copies, due times, bits of all."""
    at, parts = 0, []
    while at < count:
        for cut in cuts:
            times = np.arange(at, min(count, at + cut)) * gap_s
            if not len(times):
                break
            traffic = Traffic.arriving(times, np.full(len(times), 1400, dtype=np.int64), chain.links)
            chain.carry(traffic)
            parts.append(traffic)
            at += cut
    return tuple(np.vstack([getattr(part, name) for part in parts]) for name in ("copies", "due_s", "corrupt_bit"))


@pytest.mark.parametrize("cuts", [[1], [7, 30, 2], [1000]])
def test_one_seed_gives_one_run_however_packets_come(cuts):
    first = carried(Chain(parse_link(LINK), 3, (7,)), 1000, [64])
    again = carried(Chain(parse_link(LINK), 3, (7,)), 1000, cuts)
    assert (first[0] == again[0]).all()
    assert first[1] == pytest.approx(again[1])
    assert (first[2] == again[2]).all()
    other = carried(Chain(parse_link(LINK), 3, (8,)), 1000, cuts)
    assert (first[0] != other[0]).any()


def test_which_packets_are_lost_does_not_hang_on_the_line():
    """Loss has a stream of its own: a slower line, or another delay, loses the same packets."""
    lost = [
        carried(Chain(parse_link(text), 2, (1,)), 5000, [40])[0] == 0
        for text in ("loss=5%", "loss=5%,delay=50ms,jitter=20ms", "loss=5%,rate=100M,duplicate=10%,corrupt=5%")
    ]
    assert (lost[0] == lost[1]).all()
    assert (lost[0] == lost[2]).all()


def test_the_report_adds_up():
    chain = Chain(parse_link("rate=6M,queue=20ms,loss=5%,duplicate=2%,outage=1s+500ms"), 2, (3,))
    copies, _, _ = carried(chain, 4000, [50])
    for link in (0, 1):
        report = chain.report(link)
        assert report["offered"] == 4000
        assert report["delivered"] == (copies[:, link] > 0).sum()
        assert report["offered"] == report["delivered"] + report["lost"] + report["outage"] + report["queue_full"]
        assert report["outage"] > 400
        assert report["queue_full"] > 500
        assert sum(int(length) * count for length, count in report["loss_period"].items()) <= 4000
        assert report["delay_max_s"] <= 0.02 + 4e-3  # the queue, and a duplicated packet's time on the wire


def test_a_trunk_loses_for_all_behind_it():
    trunk, links = Chain(parse_link("loss=20%"), 1, (1,)), Chain(parse_link("loss=10%"), 50, (2,))
    times = np.arange(4000) * 1e-3
    traffic = Traffic.arriving(times, np.full(4000, 1400, dtype=np.int64), 1)
    trunk.carry(traffic)
    behind = traffic.behind_trunk(50)
    links.carry(behind)
    lost = behind.copies == 0
    assert lost[traffic.copies[:, 0] == 0].all()
    assert lost.mean() == pytest.approx(1 - 0.8 * 0.9, abs=0.02)
    together = np.corrcoef(lost.T)[~np.eye(50, dtype=bool)].mean()
    assert together == pytest.approx(0.2 * 0.8 * 0.9**2 / (0.28 * 0.72), abs=0.03)


def test_the_calendar_gives_back_what_it_took_in_order_of_time():
    rng = np.random.default_rng(1)
    calendar, packets = Calendar(1e-3), []
    for batch in range(20):
        rows = rng.integers(256, size=(30, 40), dtype=np.uint8)
        rows[:, 0], rows[:, 1] = batch, np.arange(30)
        traffic = Traffic.arriving(np.full(30, batch * 0.002), np.full(30, 40, dtype=np.int64), 2)
        traffic.due_s += rng.random((30, 2)) * 0.02
        traffic.copies[rng.random((30, 2)) < 0.2] = 0
        traffic.copies[(rng.random((30, 2)) < 0.1) & (traffic.copies > 0)] = 2
        traffic.corrupt_bit[3, 1] = 8 * 5
        packets.append((rows, traffic))
        calendar.add(rows, traffic)
    left = {0: [], 1: []}
    for now in np.arange(0, 0.1, 0.0005):
        for departure in calendar.departures(now):
            assert departure.due_s <= now
            left[departure.link] += [bytes(row) for row in departure.rows]
    assert calendar.next_s() is None
    for link in (0, 1):
        expected = []
        for rows, traffic in packets:
            for index in range(30):
                row = rows[index].copy()
                if traffic.corrupt_bit[index, link] >= 0:
                    row[5] ^= 1
                expected += [bytes(row)] * int(traffic.copies[index, link])
        assert sorted(left[link]) == sorted(expected)
