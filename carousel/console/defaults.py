"""Options that need not be typed each time: BOOTCAST_* in the environment, then a config file in TOML."""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from carousel.errors import OperatorError, UsageError

__all__ = ["CONFIG_VARIABLE", "apply_defaults", "config_file", "config_path", "read_config", "variables_of"]

CONFIG_VARIABLE = "BOOTCAST_CONFIG"
"""Names another file than the program's own in /etc/bootcast."""
PREFIX = "BOOTCAST_"
TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off", ""}


def config_file(program: str) -> str:
    """Return where a program's config file is, if nothing else is said."""
    return f"/etc/bootcast/{program}.toml"


def variables_of(parser: argparse.ArgumentParser) -> dict[str, str]:
    """Return the variable of the environment for each option that can be set by one, such as `--drop-seed`."""
    return {f"--{name}": _variable(name) for name, _ in _options_of(parser)}


def config_path(usual: str, environment: Mapping[str, str]) -> Path:
    """Return which config file counts: the one that the environment names, else the usual one."""
    return Path(environment.get(CONFIG_VARIABLE) or usual)


def read_config(usual: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """Read the config file: option names with their values; none at all where the usual one is not there.

    `UsageError` where one is named that is not there, `OperatorError` where it can't be read.
    """
    path = config_path(usual, environment)
    try:
        text = path.read_text()
    except FileNotFoundError:
        if environment.get(CONFIG_VARIABLE):
            raise UsageError(f"{CONFIG_VARIABLE} names {path}, and there is no such file") from None
        return {}
    except UnicodeDecodeError:
        raise OperatorError(f'{path} is no text; it should hold lines such as interface = "eth0"') from None
    import tomllib  # noqa: PLC0415  most machines have no config file

    try:
        return {name.replace("_", "-"): value for name, value in tomllib.loads(text).items()}
    except tomllib.TOMLDecodeError as error:
        raise OperatorError(f'{path} is no TOML ({error}); lines such as interface = "eth0" are') from None


def apply_defaults(
    parser: argparse.ArgumentParser, environment: Mapping[str, str], config: Mapping[str, Any], path: Path
) -> None:
    """Make what the environment or else the config file says the default of every option of that name.

    Options that may be repeated are left alone. Raises `UsageError` for a name that no command has; `path` is the file
    that says so.
    """
    known = set()
    for name, action in _options_of(parser):
        known.add(name)
        given = environment.get(_variable(name), config.get(name))
        if given is None:
            continue
        action.required = False
        action.default = _as_flag(name, given) if action.nargs == 0 else str(given)
    for name in config.keys() - known:
        raise UsageError(f"{path} sets {name!r}, which is no option; `{parser.prog} --help` lists commands")


def _variable(name: str) -> str:
    return PREFIX + name.upper().replace("-", "_")


def _as_flag(name: str, given: object) -> bool:
    word = str(given).lower()
    if word not in TRUE | FALSE:
        raise UsageError(f"{name} is set to {given!r}: it is a switch, so say 1 or 0")
    return word in TRUE


def _options_of(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.Action]]:
    """Yield the options of a parser and of its commands that hold one value or are switches."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in set(action.choices.values()):
                yield from _options_of(command)
        elif isinstance(action, argparse._StoreAction | argparse._StoreTrueAction) and action.option_strings:
            yield action.option_strings[-1].removeprefix("--"), action
