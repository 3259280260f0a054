import re
import tomllib
from pathlib import Path

import pytest

from bench.cli import COMMANDS as BENCH_COMMANDS
from bench.manual.pages import FOLDER, PROGRAMS, page
from headend.program import COMMANDS as HEADEND_COMMANDS
from settop.cli import make_parser

ROOT = Path(__file__).parents[3]
MACROS = {"TH", "SH", "SS", "TP", "B", "I", "PP", "br", "nf", "fi"}


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_pages_are_the_commands(program):
    assert (FOLDER / f"{program}.1").read_text() == page(program), "run `make man`"


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_page_is_good_roff(program):
    for line in page(program).splitlines():
        assert re.match(r'\.\\"|\.(\w+)( |$)|[^.\']|$', line), line
        if (macro := re.match(r"\.(\w+)", line)) is not None:
            assert macro[1] in MACROS


def test_every_command_has_its_section():
    for program, table in (("headend", HEADEND_COMMANDS), ("bootbench", BENCH_COMMANDS)):
        for command in table:
            assert f'.SS "{program} {command.name}' in page(program)
    helped = make_parser().format_help()
    for name in ("init", "receive", "run", "boot", "confirm", "status", "forget", "mark-bad", "flash"):
        assert name in helped
        assert f'.SS "settop {name}"' in page("settop")


def test_options_have_what_is_typed_what_it_does_and_its_default():
    text = page("headend")
    assert ".B \\-\\-rate RATE\nBit/s of UDP payload" in text
    assert "(default: 100M) [BOOTCAST_RATE]" in text
    assert "[ff15::4d]:5077" in text


def test_an_installation_brings_them():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"] == {
        "docs/man": "share/man/man1",
        "docs/completions": "share/bash-completion/completions",
    }
    assert {each.name for each in FOLDER.iterdir()} == {f"{program}.1" for program in PROGRAMS}
