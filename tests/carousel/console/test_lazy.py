import sys

import pytest
from typer.testing import CliRunner

from bench.cli import app as bootbench
from carousel.console.lazy import LazyCommand, group_of
from carousel.errors import OperatorError

GREET = LazyCommand("greet", "tests.carousel.console.lazilygreeted:greet", "Say hello.")


def run(app, *arguments):
    return CliRunner().invoke(app, list(arguments))


def test_help_imports_no_command():
    sys.modules.pop("tests.carousel.console.lazilygreeted", None)
    result = run(group_of("polite", "Be polite.", (GREET,)), "--help")
    assert result.exit_code == 0
    assert "Say hello." in result.output
    assert "tests.carousel.console.lazilygreeted" not in sys.modules


def test_a_command_runs_with_its_arguments_and_has_its_own_help():
    polite = group_of("polite", "Be polite.", (GREET,))
    assert run(polite, "greet", "Ada", "--loud").output == "HELLO ADA\n"
    assert "--loud" in run(polite, "greet", "-h").output


def test_what_is_no_command_is_a_usage_error():
    assert run(group_of("polite", "Be polite.", (GREET,)), "curse").exit_code == 2


def test_a_missing_package_is_a_sentence_with_the_extra_that_brings_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "scapy", None)
    monkeypatch.setitem(sys.modules, "scapy.packet", None)
    command = LazyCommand("wish", "tests.carousel.console.lazilywished:wish", "Wish.", "bench")
    with pytest.raises(OperatorError, match=r"this needs scapy.*bootcast\[bench\]"):
        command.load()


def test_a_module_of_ours_that_is_missing_is_our_fault():
    with pytest.raises(ModuleNotFoundError):
        LazyCommand("gone", "bench.nowhere:gone", "Nothing.", "bench").load()


@pytest.mark.parametrize("option", ["--version", "-h"])
def test_a_program_knows_its_version_and_helps(option):
    assert run(bootbench, option).exit_code == 0
