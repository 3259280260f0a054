"""Help as people see it: groups of options, nothing eaten by markup, words for what to type."""

import re

import pytest
from typer.testing import CliRunner

from headend.program import COMMANDS, app


def shown(*arguments):
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200", "TERM": "dumb"})
    assert result.exit_code == 0
    return result.output


@pytest.mark.parametrize("command", [each.name for each in COMMANDS])
def test_every_command_helps(command):
    help_text = shown(command, "-h")
    assert "Usage: " in help_text
    assert not re.search(r"<(str|path|Path|int|float|bool|list)", help_text), "a type is no word for a person"


def test_an_ipv6_group_is_shown_with_its_brackets():
    assert "[ff15::4d]:5077" in shown("cast", "-h")
    assert "OUI:MODEL[:VERSION]" in shown("pack", "-h")


@pytest.mark.parametrize("group", ["Network", "Carousel", "DVB-SSU", "Output"])
def test_options_stand_in_groups(group):
    assert f"─ {group} ─" in shown("cast", "-h")


def test_rules_are_explained_where_they_are_asked_for():
    help_text = " ".join(shown("pack", "-h").replace("│", " ").split())
    for words in ("your organisation's OUI", "newer than what it holds", "refuse all with a lower counter"):
        assert words in help_text
