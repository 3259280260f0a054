"""Storms: nobody is lost on the way, steps do not show, and each policy does what theory says of it."""

import math
from dataclasses import replace

import numpy as np
import pytest

from bench.fleet.model.histogram import Histogram
from bench.fleet.model.tally import STEPS, Tally
from bench.fleet.scenario.values import Discipline, Login, Peers, Retry, RetryKind, Server, Spread, SpreadKind
from bench.fleet.storm import crowd, engine
from bench.fleet.storm.crowd import Clock, WaitingRoom, draw_some
from bench.fleet.storm.login import run_login
from bench.fleet.storm.p2p import run_p2p
from bench.fleet.storm.strategies import run_storm, storms_of
from bench.fleet.storm.unicast import line_rate_bps, run_unicast, tcp_rate_bps
from carousel.errors import OperatorError
from tests.bench.fleet.fleets import scenario

IMMEDIATE, BACKOFF = Retry(RetryKind.IMMEDIATE), Retry(RetryKind.BACKOFF, 2.0, 3600.0)
RANDOM = Retry(RetryKind.RANDOM, 60.0)
SERVER = Server("http", rate_bps_per_million=1e9, connections_per_million=1000, requests_per_s_per_million=1e6,
                request_timeout_s=8.0, transfer_timeout_s=30.0)  # fmt: skip


def fleet(boxes=1_000_000, **fields):
    known = {"image_bytes": 1_000_000, "down": "rate=100M", "spread_s": 10.0, "server": SERVER, "horizon_s": 200.0}
    return scenario(boxes, **(known | fields))


def unicast(world, seed, retry):
    return run_unicast(world, seed, retry, world.server)


def assert_all_counted(story, boxes):
    assert story.tally.all_boot().total == boxes
    for name in ("power", "verified", "up"):
        assert story.tally.events[name].sum() == boxes
    assert (sum(story.phases.values()) == boxes).all()
    assert all((counts >= 0).all() for counts in story.phases.values())


def test_a_draw_takes_as_many_as_asked_and_no_more_than_there_are():
    rng = np.random.default_rng(1)
    crowd = np.array([[5, 0, 900], [70, 3, 10]])
    for count in (0, 1, 500, 988, 5000):
        drawn = draw_some(crowd, count, rng)
        assert drawn.sum() == min(count, 988)
        assert ((drawn >= 0) & (drawn <= crowd)).all()
    shares = np.mean([draw_some(crowd, 100, rng) for _ in range(2000)], axis=0)
    assert shares == pytest.approx(crowd * 100 / 988, abs=1.0)
    huge = draw_some(np.array([3_000_000_000, 1_000_000_000]), 1_000_000, rng)
    assert huge.sum() == 1_000_000
    assert huge[0] == pytest.approx(750_000, rel=0.01)


def test_waiting_rooms_keep_boxes_as_long_as_their_policy_says():
    rng = np.random.default_rng(2)
    for retry, mean_s in ((IMMEDIATE, 2.0), (RANDOM, 62.0)):
        room = WaitingRoom(retry, 2.0, 1, 0.1)
        room.turn_away(room.newcomers(np.array([100_000])))
        waited_s = sum(0.1 * step * int(room.leave(rng).sum()) for step in range(1, 12_000)) / 100_000
        assert waited_s == pytest.approx(mean_s, rel=0.05)
    room = WaitingRoom(BACKOFF, 8.0, 1, 0.1)
    crowd = room.newcomers(np.array([100_000]))
    for mean_s in (10.0, 12.0, 16.0):  # 8 s until it gives up, and 2, 4, 8 s more
        room.turn_away(crowd)
        crowd, waited_s = np.zeros_like(crowd), 0.0
        for step in range(1, 4000):
            left = room.leave(rng)
            crowd, waited_s = crowd + left, waited_s + 0.1 * step * int(left.sum()) / 100_000
        assert waited_s == pytest.approx(mean_s, rel=0.05)
    room = WaitingRoom(BACKOFF, 2.0, 1, 0.1)
    crowd = room.newcomers(np.array([1000]))
    for _ in range(20):
        room.turn_away(crowd)
        crowd, room.crowd = room.crowd.copy(), np.zeros_like(room.crowd)
    assert crowd[-1, 0] == 1000  # twenty times turned away, the longest wait


def test_steps_come_from_the_physics_and_not_from_the_horizon():
    short, long = (Clock.of(horizon_s, 15.0) for horizon_s in (3 * 3600.0, 4 * 86400.0))
    assert long.step_s == pytest.approx(short.step_s, rel=0.2)
    assert short.step_s <= 15.0 / 4
    with pytest.raises(OperatorError, match="look at a shorter horizon"):
        Clock.of(30 * 86400.0, 1.0)


@pytest.mark.slow
def test_a_storm_does_not_hang_on_the_horizon():
    """5.5 million boxes log in within minutes, patience of 15 s, a queue of 20 s: a collapse that lasts."""
    login = Login(supernode_share=0.05, restart_share=0.0, probes_per_s=1000.0, logins_per_s_per_million=600.0,
                  queue_per_million=12_000.0, timeout_s=15.0)  # fmt: skip
    online = []
    for horizon_s in (1000.0, 4000.0):
        up = np.zeros(STEPS + 1, dtype=np.int64)
        up[: int(200 * STEPS / horizon_s)] = 5_500_000 * horizon_s / STEPS / 200
        world = fleet(5_500_000, horizon_s=horizon_s, login=login)
        story = run_login(world, 3, IMMEDIATE, True, Discipline.QUEUE, up, "carousel")
        assert story.step_error <= 0.01
        assert story.step_s < 2.0
        online.append(int(story.phases["online"][int(990 * STEPS / horizon_s)]))
    assert online[0] == pytest.approx(online[1], rel=0.03)


@pytest.mark.slow
def test_figures_that_hang_on_the_step_are_refused_and_why(monkeypatch):
    monkeypatch.setattr(engine, "CONVERGED", -1.0)
    monkeypatch.setattr(crowd, "MOST_STEPS", 8 * STEPS)
    world = replace(fleet(), strategies=("unicast",))
    told = run_storm(storms_of(world, [3])[0])
    assert isinstance(told, str)
    assert told.startswith("unicast, immediate retry: refused, since figures still change by")


def test_times_within_a_step_are_not_told_apart_where_shorter_steps_are_too_many(monkeypatch):
    """Who is let in at once waited for less than a step: that is no reason to refuse the others' times."""
    monkeypatch.setattr(crowd, "MOST_STEPS", 4 * STEPS)

    class Quick:
        is_over = True

        def __init__(self, clock, slow_s):
            self.times_s = np.array([clock.step_s / 2, slow_s(clock)])

        def step(self, index):
            pass

        def story(self):
            tally = Tally(4000.0)
            tally.boot["all"] = Histogram.of_counts(self.times_s, np.array([600_000, 400_000]), 1_000_000)
            return crowd.Story("quick", 3, tally, {}, [])

    story = engine.run_converged(lambda clock: Quick(clock, lambda clock: 100.0), 4000.0, 16.0)
    times = story.tally.all_boot()
    assert (times.quantile(0.5), times.quantile(0.99)) == (4 * story.step_s, pytest.approx(100.0, rel=0.002))
    assert "are not told apart" in story.notes[0]
    with pytest.raises(OperatorError, match="figures still change"):
        engine.run_converged(lambda clock: Quick(clock, lambda clock: 100.0 + 20 * clock.step_s), 4000.0, 16.0)


def test_a_time_that_few_boxes_have_may_scatter_and_one_that_many_have_may_not():
    """Half wait next to nothing, half for hours: which time half of them have is a matter of a few boxes."""

    def story(times_s, counts):
        tally = Tally(4000.0)
        tally.boot["all"] = Histogram.of_counts(np.array(times_s), np.array(counts), sum(counts))
        return crowd.Story("flat", 3, tally, {}, [])

    flat = [np.geomspace(10.0, 1e5, 100), np.full(100, 10_000)]
    more, less = [500_000, *flat[1]], [503_600, *flat[1]]
    stories = [story([1.0, *flat[0]], counts) for counts in (more, less)]
    assert engine._change(*stories) <= engine.CONVERGED
    late = story([1.03, *flat[0]], [1_100_000, *flat[1]])
    assert engine._change(story([1.0, *flat[0]], [1_100_000, *flat[1]]), late) == pytest.approx(0.03, abs=0.002)


def test_a_server_never_serves_more_than_it_can():
    story = unicast(fleet(), 3, BACKOFF)
    assert_all_counted(story, 1_000_000)
    for load in story.loads[::2]:  # throughput and connections
        assert (load.values <= load.capacity * 1.0001).all()
    booted = story.tally.all_boot().finished
    assert 20_000 < booted <= 1e9 * 200 / 8e6 * 1.01


def test_with_room_for_all_a_transfer_takes_as_long_as_the_line():
    ample = replace(SERVER, rate_bps_per_million=1e15, connections_per_million=1e6)
    story = unicast(fleet(20_000, server=ample, down="rate=80M"), 3, IMMEDIATE)
    times = story.tally.all_boot()
    assert times.unfinished == 0
    for share in (0.01, 0.5, 0.99, 1.0):
        assert times.quantile(share) == pytest.approx(0.1, rel=0.01)


def test_who_is_done_within_a_step_was_sent_one_image():
    ample = replace(SERVER, rate_bps_per_million=1e15, connections_per_million=1e6)
    story = unicast(fleet(spread_s=100.0, server=ample), 3, IMMEDIATE)
    assert story.step_s > 1e6 * 8 / 100e6  # a step is longer than a transfer
    assert story.wire_bytes_per_box == pytest.approx(1e6, rel=1e-3)


def test_a_queue_is_worked_off_at_the_servers_rate():
    """20,000 boxes within 10 s, 1 Gb/s, 1 MB each: 160 s; half of them wait for half of that."""
    ample = replace(SERVER, rate_bps_per_million=50e9, connections_per_million=50_000)
    story = unicast(fleet(20_000, server=ample), 3, IMMEDIATE)
    times = story.tally.all_boot()
    assert times.unfinished < 20  # who was turned away last asks again late
    most_s = np.searchsorted(np.cumsum(story.tally.events["verified"]), 19_000) * 0.2
    assert most_s == pytest.approx(0.95 * 160, rel=0.05)
    assert times.quantile(0.5) == pytest.approx(160 / 2 - 5, rel=0.05)


@pytest.mark.slow
def test_who_can_not_resume_wastes_what_a_time_out_cuts_off():
    """A thousand connections share 1 Gb/s: 8 s an image, and patience of 6 s never gets one."""
    patient = unicast(fleet(), 3, RANDOM).tally.all_boot().finished
    hasty = replace(SERVER, resume=False, transfer_timeout_s=6.0)
    assert unicast(fleet(server=hasty), 3, RANDOM).tally.all_boot().finished < 0.01 * patient


def test_elastic_capacity_comes_when_it_comes():
    elastic = replace(SERVER, elastic_share=3.0, elastic_after_s=100.0)
    plain, more = (unicast(fleet(server=each), 3, RANDOM) for each in (SERVER, elastic))
    half = STEPS // 2
    assert plain.loads[0].values[: half - 5] == pytest.approx(more.loads[0].values[: half - 5], rel=0.02)
    assert more.loads[0].values[half + 20 : -20].mean() == pytest.approx(4e9, rel=0.03)


def test_elastic_capacity_is_ordered_when_the_server_is_full_and_has_its_price():
    elastic = replace(SERVER, elastic_share=1.0, elastic_after_s=50.0, price_per_tb=100.0, price_per_gbps_hour=36.0)
    story = unicast(fleet(server=elastic), 3, RANDOM)
    assert story.notes[0].startswith("unicast: $")
    sending, adding = story.wire_bytes_per_box * 1e6 / 1e12 * 100, 1.0 * 150 / 3600 * 36
    assert story.price == pytest.approx(sending + adding, rel=0.02)
    idle = replace(elastic, rate_bps_per_million=1e12, connections_per_million=1e6)
    quiet = unicast(fleet(server=idle), 3, RANDOM)
    assert quiet.price == pytest.approx(100.0, rel=1e-3)  # 1 TB, and nothing was ordered
    assert "ordered" not in quiet.notes[0]
    assert unicast(fleet(), 3, RANDOM).price is None


def test_tcp_is_as_fast_as_its_losses_allow():
    """Mathis and others (1997): MSS/RTT sqrt(3/2p) at small loss; less where time-outs come in."""
    assert tcp_rate_bps(1e-5, 1.0, 0.05) == pytest.approx(1448 * 8 / 0.05 * math.sqrt(1.5 / 1e-5), rel=0.02)
    assert tcp_rate_bps(0.05, 1.0, 0.05) < 0.5 * 1448 * 8 / 0.05 * math.sqrt(1.5 / 0.05)
    assert tcp_rate_bps(0.04, 4.0, 0.05) == tcp_rate_bps(0.01, 1.0, 0.05)
    assert math.isinf(tcp_rate_bps(0.0, 1.0, 0.05))


def test_boxes_without_a_way_back_get_nothing():
    deaf = fleet(10_000)
    deaf = replace(deaf, classes=(replace(deaf.classes[0], up=replace(deaf.classes[0].up, loss=1.0)),))
    assert line_rate_bps(deaf.classes[0], SERVER) == 0
    story = unicast(deaf, 1, IMMEDIATE)
    assert story.tally.all_boot().unfinished == 10_000
    assert_all_counted(story, 10_000)


def test_tftp_waits_for_each_block():
    far = replace(fleet().classes[0], down=replace(fleet().classes[0].down, delay_s=0.05))
    assert line_rate_bps(far, replace(SERVER, protocol="tftp")) == pytest.approx(1428 * 8 / 0.05)
    assert line_rate_bps(far, SERVER) == 100e6


@pytest.mark.slow
def test_self_healing_makes_servers_of_the_served_and_never_more_than_there_were():
    peers = Peers(supernode_share=0.01, slots=8, rate_bps=20e6, restart_share=0.95, promote_after_s=10.0)
    done = {}
    for healing in (True, False):
        story = run_p2p(fleet(100_000, peers=peers), 3, RANDOM, healing)
        assert_all_counted(story, 100_000)
        done[healing] = story.tally.all_boot().quantile(0.5) or np.inf
        sent, nodes, _ = story.loads
        assert (nodes.values <= nodes.capacity).all()
        assert (sent.values <= sent.capacity * 1.0001).all()
        assert (sent.values <= 0.01 * 100_000 * 20e6 * 1.0001).all()
    assert done[True] < 0.7 * done[False]


LOGIN = Login(
    supernode_share=0.005, slots=400, restart_share=0.97, promote_after_s=60.0, heal_share_per_s=3e-3,
    probes_per_s=2.0, overload_loss_per_s=0.02, logins_per_s_per_million=6000.0, queue_per_million=60_000.0,
    timeout_s=5.0,
)  # fmt: skip


def login_story(retry, healing, login=LOGIN, discipline=Discipline.QUEUE, horizon_s=2400.0):
    up = np.zeros(STEPS + 1, dtype=np.int64)
    up[10:110] = 10_000
    world = fleet(horizon_s=horizon_s, login=login)
    story = run_login(world, 3, retry, healing, discipline, up, "carousel")
    assert_all_counted(story, 1_000_000)
    return story


@pytest.mark.slow
def test_the_login_collapses_without_healing_and_immediate_retries_only():
    online = {
        (retry.kind, healing): int(login_story(retry, healing).phases["online"][-1])
        for retry, healing in ((IMMEDIATE, False), (BACKOFF, True), (BACKOFF, False))
    }
    assert online[RetryKind.IMMEDIATE, False] < 200_000
    assert online[RetryKind.BACKOFF, True] > 800_000
    assert online[RetryKind.BACKOFF, False] < online[RetryKind.BACKOFF, True]


@pytest.mark.slow
@pytest.mark.parametrize("retry", [IMMEDIATE, RANDOM], ids=["immediate", "random"])
def test_the_few_that_miss_wait_as_long_as_a_try_takes_and_the_many_not_at_all(retry):
    """Two in a hundred super nodes are dead, and stay so; all else is ample: late(t) = 0.02 e^(-0.98 t/w)."""
    quiet = replace(
        LOGIN, supernode_share=0.05, restart_share=0.02, heal_share_per_s=0.0, probes_per_s=1e6, timeout_s=30.0
    )
    times = login_story(retry, False, quiet).tally.all_boot()
    wait_s = 30.0 + (retry.wait_s if retry is RANDOM else 0.0)
    assert times.quantile(0.97) < 0.1
    for share in (0.99, 0.999):
        assert times.quantile(share) == pytest.approx(wait_s / 0.98 * math.log(0.02 / (1 - share)), rel=0.03)


AMPLE = replace(
    LOGIN, supernode_share=0.05, restart_share=0.0, probes_per_s=1000.0, logins_per_s_per_million=200.0,
    queue_per_million=10_000.0,
)  # fmt: skip


@pytest.mark.slow
def test_a_login_queue_longer_than_patience_answers_nobody_in_time():
    """Super nodes are plenty here; the server is the bottleneck, and its queue of 50 s is served to no avail."""
    stale = login_story(IMMEDIATE, True, AMPLE, horizon_s=600.0)
    for discipline in (Discipline.LIFO, Discipline.DEADLINE, Discipline.TOKENS, Discipline.GATE):
        fresh = login_story(IMMEDIATE, True, AMPLE, discipline, horizon_s=600.0)
        assert stale.phases["online"][-1] < 0.1 * fresh.phases["online"][-1]
        served = fresh.phases["online"][-1] - fresh.phases["online"][STEPS // 2]
        assert served == pytest.approx(200 * 300, rel=0.1)
        assert (fresh.loads[1].values.reshape(-1, 50).mean(axis=1) <= fresh.loads[1].capacity * 1.1).all()


def test_the_gate_of_bulletins_finds_what_the_server_takes():
    """The real pace, from what the server says of itself alone: within the capacity, and all the same in use."""
    gate = login_story(IMMEDIATE, True, AMPLE, Discipline.CAROUSEL_GATE, 1200.0)
    asked = gate.loads[0].values.reshape(-1, 10).mean(axis=1)
    assert (asked <= gate.loads[0].capacity * 1.1).all()
    served = gate.phases["online"][-1] - gate.phases["online"][STEPS // 2]
    assert served > 0.7 * 200 * 600
    assert gate.label.endswith("carousel + gate")


@pytest.mark.slow
def test_behind_a_gate_nobody_asks_in_vain():
    gate, queue = (login_story(IMMEDIATE, True, AMPLE, each, 600.0) for each in (Discipline.GATE, Discipline.QUEUE))
    assert gate.loads[0].values.reshape(-1, 50).mean(axis=1).max() < 1.1 * gate.loads[0].capacity
    assert queue.loads[0].values.max() > 10 * queue.loads[0].capacity


@pytest.mark.slow
def test_a_storm_is_fixed_by_its_seed():
    at_once = fleet(20_000)
    at_once = replace(at_once, regions=(replace(at_once.regions[0], spread=Spread(SpreadKind.AT_ONCE)),))
    runs = [unicast(at_once, seed, BACKOFF) for seed in (1, 1, 2)]
    assert (runs[0].loads[1].values == runs[1].loads[1].values).all()
    assert (runs[0].loads[1].values != runs[2].loads[1].values).any()
