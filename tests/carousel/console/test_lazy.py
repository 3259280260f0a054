import sys

import pytest
from typer.testing import CliRunner

from bench.cli import app as bootbench
from carousel.console.lazy import LazyCommand, group_of
from carousel.errors import OperatorError, UsageError

GREET = LazyCommand("greet", "tests.carousel.console.lazilygreeted:greet", "Say hello.")

BOW = LazyCommand("bow", "tests.carousel.console.lazilygreeted:bow", "Bow.")

KNEEL = LazyCommand("kneel", "tests.carousel.console.lazilygreeted:kneel", "Kneel.")


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


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["curse"], "no such command 'curse'; `polite --help` tells more"),
        (["greet"], "missing argument 'NAME'; `polite greet --help` tells more"),
        (["greet", "Ada", "--softly"], "no such option: --softly; `polite greet --help` tells more"),
        (["greet", "Ada", "--times"], "option '--times' requires an argument; `polite --help` tells more"),
        (
            ["greet", "Ada", "--times", "often"],
            "invalid value for '--times': this is no whole number; `polite greet --help` tells more",
        ),
        (
            ["greet", "Ada", "--times", "2.5"],
            "invalid value for '--times': this is no whole number; `polite greet --help` tells more",
        ),
        (
            ["greet", "Ada", "--times", "0"],
            "invalid value for '--times': the least is 1; `polite greet --help` tells more",
        ),
        (["kneel"], "missing option '--depth'; give it, or set POLITE_DEPTH; `polite kneel --help` tells more"),
    ],
)
def test_a_wrong_command_line_is_a_usage_error_in_one_sentence(arguments, sentence):
    result = run(group_of("polite", "Be polite.", (GREET, KNEEL)), *arguments)
    assert isinstance(result.exception, UsageError)
    assert str(result.exception).lower() == sentence.lower()


def test_no_command_at_all_shows_the_help():
    result = run(group_of("polite", "Be polite.", (GREET,)))
    assert result.exit_code == 2
    assert "Say hello." in result.output


def test_a_missing_package_is_a_sentence_with_the_extra_that_brings_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "scapy", None)
    monkeypatch.setitem(sys.modules, "scapy.packet", None)
    command = LazyCommand("wish", "tests.carousel.console.lazilywished:wish", "Wish.", "bench")
    with pytest.raises(OperatorError, match=r"this needs scapy.*: pip install '\.\[bench\]' in a checkout of bootcast"):
        command.load()


def test_a_module_of_ours_that_is_missing_is_our_fault():
    with pytest.raises(ModuleNotFoundError):
        LazyCommand("gone", "bench.nowhere:gone", "Nothing.", "bench").load()


@pytest.mark.parametrize("option", ["--version", "-h"])
def test_a_program_knows_its_version_and_helps(option):
    assert run(bootbench, option).exit_code == 0


@pytest.fixture
def configured(tmp_path, monkeypatch):
    """Run the polite program with a config file and an environment."""

    def run_with(text, *arguments, **environment):
        monkeypatch.delenv("BOOTCAST_CONFIG", raising=False)
        (tmp_path / "polite.toml").write_text(text)
        app = group_of("polite", "Be polite.", (GREET, BOW), str(tmp_path / "polite.toml"))
        return CliRunner().invoke(app, list(arguments), env=environment)

    return run_with


def test_a_config_file_sets_defaults_and_the_command_line_wins(configured):
    assert configured("loud = true\ntimes = 2", "greet", "Ada").output == "HELLO ADA\n" * 2
    assert configured("loud = true\ntimes = 2", "greet", "Ada", "--times", "1").output == "HELLO ADA\n"


def test_the_environment_wins_over_the_config_file(configured):
    assert configured("times = 2", "greet", "Ada", BOOTCAST_TIMES="3").output == "Hello Ada\n" * 3


def test_an_option_that_only_another_command_has_is_no_mistake(configured):
    assert configured("depth = 3", "greet", "Ada").output == "Hello Ada\n"
    assert configured("depth = 3", "bow").output == "3\n"


def test_a_name_that_no_command_has_is_a_usage_error(configured):
    result = configured("volume = 3", "greet", "Ada")
    assert isinstance(result.exception, UsageError)
    assert "polite.toml sets 'volume', which is no option" in str(result.exception)


def test_a_config_file_elsewhere(configured, tmp_path):
    (tmp_path / "other.toml").write_text("loud = true")
    assert configured("", "greet", "Ada", BOOTCAST_CONFIG=str(tmp_path / "other.toml")).output == "HELLO ADA\n"
    result = configured("", "greet", "Ada", BOOTCAST_CONFIG=str(tmp_path / "gone.toml"))
    assert isinstance(result.exception, UsageError)
