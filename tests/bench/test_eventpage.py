import re
from pathlib import Path

from bench.eventpage import PAGE, page
from settop import events
from settop.report import WORDS

ROOT = Path(__file__).parents[2]
NAMES = {each.event for each in vars(events).values() if isinstance(each, type) and issubclass(each, events.Event)} - {
    ""
}


def test_the_page_is_the_code_s():
    assert PAGE.read_text() == page(), "run `make events`"
    assert set(re.findall(r"^## `(\w+)`", page(), re.MULTILINE)) == NAMES


def test_every_word_and_every_telling_is_of_a_declared_event():
    told = set(WORDS)
    for path in (ROOT / "settop" / "commands").glob("*.py"):
        told |= set(re.findall(r'(?:\.tell|_tell)\((?:reporter, )?"(\w+)"', path.read_text()))
    assert "boot" in told
    assert told <= NAMES, told - NAMES


def test_fields_are_what_is_told():
    for event in (
        events.Note("x"),
        events.Confirmed("slot-a"),
        events.CommandFailed(7),
        events.Nothing(1.0, {}, "why"),
    ):
        section = page().split(f"## `{event.event}`")[1].split("\n## ")[0]
        assert re.findall(r"^\| `(\w+)`", section, re.MULTILINE) == list(events.fields_of(event))
