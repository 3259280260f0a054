import re
from pathlib import Path

from bench.eventpage import PAGE, page
from headend import events as headend_events
from headend.commands.teller import LANGUAGE
from settop import events
from settop.report import WORDS

ROOT = Path(__file__).parents[2]


def names_in(module):
    kinds = [each for each in vars(module).values() if isinstance(each, type) and issubclass(each, module.Event)]
    return {each.event for each in kinds} - {""}


NAMES, HEAD_END_NAMES = names_in(events), names_in(headend_events)


def test_the_page_is_the_code_s():
    assert PAGE.read_text() == page(), "run `make events`"
    of_box, of_head_end = page().split("# What `headend cast` tells")
    assert set(re.findall(r"^## `(\w+)`", of_box, re.MULTILINE)) == NAMES
    assert set(re.findall(r"^## `(\w+)`", of_head_end, re.MULTILINE)) == HEAD_END_NAMES


def test_every_word_and_every_telling_is_of_a_declared_event():
    told = set(WORDS)
    for path in (ROOT / "settop" / "commands").glob("*.py"):
        told |= set(re.findall(r'(?:\.tell|_tell)\((?:reporter, )?"(\w+)"', path.read_text()))
    assert "boot" in told
    assert told <= NAMES, told - NAMES


def test_the_head_end_has_words_for_what_it_tells():
    on_air = (headend_events.OnAir("linux", "1.4.0", "00A1B2:7", 5, 8),)
    for event in (
        headend_events.Casting("239.255.77.1:5077", "lo", 10**6, True, True, "fq", on_air),
        headend_events.Swapped(on_air),
        headend_events.Peer(alive=False),
        headend_events.Decided(3),
        headend_events.Trouble("no route"),
        headend_events.TroubleOver("no route"),
        headend_events.Note("x"),
        headend_events.Stopped(7),
    ):
        assert LANGUAGE.line(event.event, headend_events.fields_of(event))
        section = page().split("# What `headend cast` tells")[1].split(f"## `{event.event}`")[1].split("\n## ")[0]
        assert re.findall(r"^\| `(\w+)`", section, re.MULTILINE) == list(headend_events.fields_of(event))


def test_fields_are_what_is_told():
    for event in (
        events.Note("x"),
        events.Confirmed("slot-a"),
        events.CommandFailed(7),
        events.Nothing(1.0, {}, "why"),
    ):
        section = page().split(f"## `{event.event}`")[1].split("\n## ")[0]
        assert re.findall(r"^\| `(\w+)`", section, re.MULTILINE) == list(events.fields_of(event))
