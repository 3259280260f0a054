"""When a process is started again, and what is known from what it tells."""

import signal

from hypothesis import given
from hypothesis import strategies as st

from headend.serve.keeping import MAX_PAUSE_S, CarouselView, next_pause_s


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
