import argparse
from pathlib import Path

import pytest

from carousel.console.defaults import apply_defaults, read_config
from carousel.errors import OperatorError, UsageError


def parser():
    whole = argparse.ArgumentParser(prog="tool")
    commands = whole.add_subparsers()
    go = commands.add_parser("go")
    go.add_argument("--speed-limit", type=int, required=True)
    go.add_argument("--json", action="store_true")
    go.add_argument("--tag", action="append")
    go.add_argument("place", nargs="?")
    return whole


def went(*arguments, environment=None, config=None):
    whole = parser()
    apply_defaults(whole, environment or {}, config or {}, Path("tool.toml"))
    return whole.parse_args(["go", *arguments])


def test_the_command_line_wins_then_the_environment_then_the_file():
    environment, config = {"BOOTCAST_SPEED_LIMIT": "2"}, {"speed-limit": 3}
    assert went("--speed-limit", "1", environment=environment, config=config).speed_limit == 1
    assert went(environment=environment, config=config).speed_limit == 2
    assert went(config=config).speed_limit == 3


@pytest.mark.parametrize(("given", "means"), [("1", True), ("yes", True), (True, True), ("0", False), ("off", False)])
def test_switches(given, means):
    assert went("--speed-limit", "1", config={"json": given}).json is means


def test_a_switch_that_is_neither_and_a_name_of_no_option_are_told():
    with pytest.raises(UsageError, match="switch"):
        went(config={"json": "perhaps"})
    with pytest.raises(UsageError, match=r"tool\.toml sets 'sped-limit'"):
        went(config={"sped-limit": 3})


def test_what_may_be_repeated_is_only_typed():
    assert went("--speed-limit", "1", "--tag", "a", environment={"BOOTCAST_TAG": "b"}).tag == ["a"]


def test_files(tmp_path):
    path = tmp_path / "c.toml"
    assert read_config(str(path), {}) == {}
    path.write_text("speed_limit = 3\n")
    assert read_config(str(path), {}) == read_config("none", {"BOOTCAST_CONFIG": str(path)}) == {"speed-limit": 3}
    for content in (b"interface eth0", b"\xff\xfe"):
        path.write_bytes(content)
        with pytest.raises(OperatorError, match=r"interface = \"eth0\""):
            read_config(str(path), {})


def test_a_file_that_somebody_named_has_to_be_there(tmp_path):
    usual = tmp_path / "usual.toml"
    usual.write_text("speed_limit = 3\n")
    with pytest.raises(UsageError, match=r"gone\.toml, and there is no such file"):
        read_config(str(usual), {"BOOTCAST_CONFIG": str(tmp_path / "gone.toml")})
