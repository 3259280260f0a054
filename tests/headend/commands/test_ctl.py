"""What `headend ctl` says before it asks the service, and of what the service answers."""

import pytest
from typer.testing import CliRunner

from carousel.errors import UsageError
from headend.commands import ctl
from headend.program import app
from headend.registry.model import Role


def run(*arguments):
    return CliRunner().invoke(app, ["ctl", "--url", "http://127.0.0.1:9", *arguments])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rate", "lab", "2M", "--from", "25:00", "--to", "06:00"], "'25:00' is no time of day such as 06:30"),
        (["rate", "lab", "2M", "--from", "22:00", "--to", "6"], "'6' is no time of day"),
        (["stage", "vmlinuz", "--stages", "1% 10x"], "'10x' is not a time"),
        (["tokens", "add", "eve", "--role", "king"], "'king' is no role: there are view, operate and admin"),
    ],
)
def test_what_is_mistyped_is_a_usage_error_and_asks_nobody(arguments, words):
    result = run(*arguments)
    assert isinstance(result.exception, UsageError)
    assert words in str(result.exception)


def test_its_roles_are_those_of_the_registry():
    assert list(ctl.ROLES) == [role.value for role in Role]


def test_a_release_that_comes_back_is_told_to_be_for_whom_it_was(monkeypatch, tmp_path):
    shown = {"id": "3d" * 16, "name": "vmlinuz", "version": "1.4.0", "hardware": "00A1B2:7"}
    shown |= {"percent": 10, "rule": None, "is_halted": True, "why": "fan"}
    monkeypatch.setattr(ctl.Client, "ask", lambda *_, **__: shown)
    assert "before holds: for 10 %, halted: fan" in run("upload", str(tmp_path)).output
