"""Reports never stop who reports: a full, closed or stuck log loses lines, and nothing else."""

import json
import os
import signal

import pytest

from carousel.console.reporter import (
    JsonReporter,
    Language,
    Outlet,
    PlainReporter,
    TerminalReporter,
    bar,
    make_reporter,
)


def say(event, fields):
    return fields.get("text") if event != "progress" else None


def show(event, fields):
    return bar(fields["share"]) if event == "progress" else None


LANGUAGE = Language(say, show)


@pytest.fixture(autouse=True)
def _no_hanging():
    signal.alarm(30)
    yield
    signal.alarm(0)


def reporters(outlet):
    return [JsonReporter(outlet), PlainReporter("x", LANGUAGE, outlet), TerminalReporter("x", LANGUAGE, outlet)]


def tell_much(outlet):
    for reporter in reporters(outlet):
        for _ in range(3000):
            reporter.tell("note", text="word " * 20)
        reporter.close()


def test_a_full_log_is_swallowed():
    descriptor = os.open("/dev/full", os.O_WRONLY)
    tell_much(Outlet(descriptor))
    os.close(descriptor)


def test_a_closed_pipe_is_swallowed():
    reader, writer = os.pipe()
    os.close(reader)
    tell_much(Outlet(writer))
    os.close(writer)


def test_a_closed_descriptor_is_swallowed():
    reader, writer = os.pipe()
    outlet = Outlet(writer)
    os.close(reader)
    os.close(writer)
    tell_much(outlet)
    tell_much(Outlet(-1))


@pytest.mark.slow
def test_a_reader_that_stopped_is_waited_for_once_and_whole_lines_come_when_it_goes_on():
    reader, writer = os.pipe()
    tell_much(Outlet(writer))
    os.close(writer)
    with os.fdopen(reader) as pipe:
        lines = pipe.read().splitlines()
    assert lines
    for line in lines:
        assert json.loads(line) == {"event": "note", "text": "word " * 20}


def told(make, *events):
    reader, writer = os.pipe()
    reporter = make(Outlet(writer))
    for event, fields in events:
        reporter.tell(event, **fields)
    reporter.close()
    os.close(writer)
    with os.fdopen(reader, newline="") as pipe:
        return pipe.read()


def test_json_is_a_line_with_the_event_first():
    assert told(JsonReporter, ("note", {"text": "a\nb"})) == '{"event": "note", "text": "a\\nb"}\n'


def test_plain_lines_are_printable_and_moving_things_are_left_out():
    text = told(
        lambda outlet: PlainReporter("b\x1bx", LANGUAGE, outlet),
        ("note", {"text": "one\x1b[2J\ntwo"}),
        ("progress", {"share": 1}),
    )
    assert text == "b\\x1bx: one\\x1b[2J\nb\\x1bx: two\n"


def test_a_log_hears_of_moving_things_now_and_then():
    language = Language(say, show, lambda event, fields: "moving")
    assert told(lambda outlet: PlainReporter("b", language, outlet), ("progress", {"share": 1})) == "b: moving\n"


def test_a_terminal_has_one_line_that_moves_below_those_that_stay():
    text = told(
        lambda outlet: TerminalReporter("b", LANGUAGE, outlet),
        ("progress", {"share": 0.5}),
        ("note", {"text": "hello"}),
        ("done", {"text": "end"}),
    )
    moving = bar(0.5)
    assert moving.endswith(" 50.0%")
    assert text.split("\r\x1b[2K") == ["", moving, f"\x1b[1mb\x1b[0m hello\n{moving}", "\x1b[1mb\x1b[0m end\n"]


def test_the_reporter_follows_from_what_is_at_the_other_end():
    assert isinstance(make_reporter(True, "x", LANGUAGE, True), JsonReporter)
    assert isinstance(make_reporter(False, "x", LANGUAGE, True), TerminalReporter)
    assert isinstance(make_reporter(False, "x", LANGUAGE, False), PlainReporter)
