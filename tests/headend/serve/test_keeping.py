"""When a process is started again, and what is known from what it tells."""

import asyncio
import signal

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from headend.registry.model import CarouselRecord
from headend.serve.keeping import MAX_PAUSE_S, CarouselView, Keeper, next_pause_s
from headend.serve.orders import Order


def test_who_is_killed_comes_back_at_once_and_who_cannot_start_ever_more_slowly():
    assert next_pause_s(8.0, 0.1, -signal.SIGKILL) == 0
    assert next_pause_s(8.0, 60.0, 1) == 0
    pauses, pause_s = [], 0.0
    for _ in range(9):
        pause_s = next_pause_s(pause_s, 0.1, 1)
        pauses.append(pause_s)
    assert pauses[:4] == [0.5, 1, 2, 4]
    assert pauses[-1] == MAX_PAUSE_S


@given(pause_s=st.floats(0, 30), lived_s=st.floats(0, 1e6), code=st.none() | st.integers(-64, 255))
def test_no_pause_is_endless(pause_s, lived_s, code):
    assert 0 <= next_pause_s(pause_s, lived_s, code) <= MAX_PAUSE_S


STATUS = {"event": "status", "rate_bps": 8_000_000, "packets": 100, "cycle": 2, "share": 0.5, "sent_bytes": 146_800}
STATUS |= {"errors": 1, "announced_ago_s": 0.1, "places": [{"id": "a", "cycle": 2, "part": 0.5, "share": 1.0}]}


def test_a_view_counts_what_is_sent_over_all_processes():
    view = CarouselView()
    view.hear({"event": "casting", "paced_by": "fq"}, 1.0)
    view.hear(STATUS, 2.0)
    view.fall_silent()
    assert (view.rate_bps, view.places) == (0, [])
    view.hear(STATUS, 3.0)
    assert (view.sent_bytes, view.sent_packets, view.errors, view.cycles) == (293_600, 200, 2, 2)
    assert (view.paced_by, view.told_s) == ("fq", 3.0)


def test_trouble_is_shown_until_it_is_over():
    view = CarouselView()
    view.hear({"event": "trouble", "reason": "there is no interface"}, 1.0)
    assert view.trouble == "there is no interface"
    view.hear({"event": "trouble_over", "reason": "there is no interface"}, 2.0)
    assert view.trouble == ""


class FakeProcess:
    """A process that obeys, and ends when it is killed."""

    def __init__(self, pid):
        self.pid, self.returncode, self.orders = pid, None, []
        self.stdout, self.stdin = asyncio.StreamReader(), self

    def write(self, line):
        self.orders.append(msgspec.json.decode(line, type=Order).carousel.name)

    def close(self):
        self.end(0)

    def kill(self):
        self.end(-signal.SIGKILL)

    def end(self, code):
        if self.returncode is None:
            self.returncode = code
            self.stdout.feed_eof()

    async def wait(self):
        return self.returncode


class FakeKeeper(Keeper):
    """Starts fakes; with `is_slow`, no start comes to an end any more."""

    def __init__(self, told):
        super().__init__(lambda: 5.0, lambda event, **fields: told.append(event))
        self.processes, self.is_slow = [], False

    async def _start(self):
        if self.is_slow:
            await asyncio.Event().wait()
        self.processes.append(FakeProcess(100 + len(self.processes)))
        return self.processes[-1]


async def turn(times=20):
    for _ in range(times):
        await asyncio.sleep(0)


def test_who_stands_by_takes_over_at_once():
    """No time passes and no process is started between a death and the order to the next: nothing waits there."""

    async def live():
        told = []
        keeper = FakeKeeper(told)
        keeper.follow(Order(CarouselRecord("lab", "239.255.77.1:5077", "lo", 8e6), (), "/nowhere"))
        await turn()
        first, second = keeper.processes
        assert (first.orders, second.orders, keeper.views["lab"].pid) == (["lab"], [], first.pid)
        keeper.is_slow = True
        first.kill()
        await turn()
        assert (second.orders, keeper.views["lab"].pid, keeper.views["lab"].starts) == (["lab"], second.pid, 2)
        assert told == ["carousel_died"]
        assert keeper.processes == [first, second]

    asyncio.run(live())
