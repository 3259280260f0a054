"""Who has the line: a console gives way to the flasher, and gets it back."""

import os

import pytest

from settop.flasher.claim import LineClaim


@pytest.fixture
def claims(tmp_path):
    """Three openings of one device, as three programs have it."""
    path = tmp_path / "tty"
    path.touch()
    descriptors = [os.open(path, os.O_RDWR) for _ in range(3)]
    yield [LineClaim(descriptor) for descriptor in descriptors]
    for descriptor in descriptors:
        os.close(descriptor)


def test_one_at_a_time(claims):
    console, flasher, _ = claims
    assert console.try_take()
    assert console.try_take(), "who has it keeps it"
    assert not flasher.try_take()
    console.give_up()
    assert flasher.try_take()


def test_who_has_it_hears_that_it_is_wanted(claims):
    console, flasher, another = claims
    console.try_take()
    assert not console.is_wanted
    assert flasher.say_wanted()
    assert console.is_wanted
    assert not another.say_wanted(), "one asks at a time"
    flasher.say_no_longer_wanted()
    assert not console.is_wanted
    assert another.say_wanted()


def test_it_ends_with_the_program(tmp_path):
    path = tmp_path / "tty"
    path.touch()
    gone, here = os.open(path, os.O_RDWR), os.open(path, os.O_RDWR)
    assert LineClaim(gone).try_take()
    os.close(gone)
    assert LineClaim(here).try_take()
    os.close(here)
