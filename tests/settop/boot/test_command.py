"""A command of the user's in place of a boot loader."""

import pytest

from carousel.errors import UsageError
from settop.boot.backend import SlotImage
from settop.boot.command import Command, words_of
from settop.store.choice import Source
from tests.settop.boot.models import FakeMachine, Rails, header_of

IMAGE = SlotImage(None, "slot-a.image", header_of("1.2.3"))


@pytest.fixture
def machine():
    return FakeMachine(Rails())


def test_the_command_runs_with_its_fields_filled_in_and_its_exit_code_counts(machine):
    command = Command(machine, "load '{image} x' --as={version} {slot}", "/var/lib/box")
    machine.exit_code = 5
    assert command.start(Source.SLOT_A, IMAGE) == 5
    assert machine.ran == [["load", "/var/lib/box/slot-a.image x", "--as=1.2.3", "slot-a"]]


def test_it_serves_where_there_is_one(machine):
    assert Command(machine, "kexec {image}", "/x").probe() is None
    assert Command(machine, None, "/x").probe() == "no --command is given"
    assert Command(machine, "", "/x").probe() == "no --command is given"


def test_what_runs_is_what_the_kernel_s_command_line_says(machine):
    command = Command(machine, "kexec {image}", "/x")
    assert command.booted() is None
    machine.files["/proc/cmdline"] = b"quiet bootcast.slot=slot-b bootcast.image=00\n"
    assert command.booted() is Source.SLOT_B
    assert command.holds(Source.SLOT_B, IMAGE)
    assert command.state().raw == "command: kexec {image}"
    assert (command.state().default, command.state().armed) == (None, None)


@pytest.mark.parametrize("good", ["true", "a {image} {version} {slot}", "sh -c 'x {image}'", "{{literally}}"])
def test_words_that_can_be_filled_in(good):
    assert words_of(good)


@pytest.mark.parametrize(
    "bad", ["", "  ", "a 'b", "a {", "a }", "a {nope}", "{image.name}", "{image:>9}", "{image!r}", "{0}", "{}"]
)
def test_what_can_not_be_filled_in_is_said_at_once(bad):
    with pytest.raises(UsageError, match=r"is no command|what is filled in is \{image\}"):
        words_of(bad)
