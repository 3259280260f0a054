"""A plain command line, read by argparse from what a command declares (declared.py): nothing of Typer is imported.

Whatever is not plain (help, a mistake, a name that only another command knows) is Typer's to read or to refuse: then
there is no answer here. tests/headend/test_cli.py holds the two together.
"""

import argparse
import inspect
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import partial
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, NoReturn, get_args, get_origin

from carousel.console.declared import Argument, Declared, Option

__all__ = ["read_plainly"]

_MISSING = object()


class _NotPlainError(Exception):
    """Somebody else has to read this."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Leave the sentence to who reads the line then."""
        raise _NotPlainError(message)


def read_plainly(
    command: Callable[..., object],
    words: Sequence[str],
    environment: Mapping[str, str],
    config: Mapping[str, Any],
) -> dict[str, Any] | None:
    """Return a command's arguments by name: from the words, else the environment, else the config; None: not plain."""
    looks_for_no_terminal = partial(argparse.HelpFormatter, width=80)  # as each added option has one made, for a look
    parser = _Parser(
        add_help=False, allow_abbrev=False, argument_default=_MISSING, formatter_class=looks_for_no_terminal
    )
    parameters = inspect.signature(command).parameters.values()
    options: dict[str, tuple[inspect.Parameter, Option]] = {}
    try:
        for parameter in parameters:
            declared = _declaration_of(parameter)
            kind = _kind_of(parameter)
            if isinstance(declared, Argument):
                parser.add_argument(parameter.name, nargs="+", type=kind)
                continue
            options[max(_names_of(parameter, declared), key=len).removeprefix("--")] = parameter, declared
            how: dict[str, Any] = {"action": "store_true"} if kind is bool else {"type": _reader(kind, declared)}
            parser.add_argument(*_names_of(parameter, declared), dest=parameter.name, **how)
        if config.keys() - options.keys():
            return None
        found = vars(parser.parse_intermixed_args(list(words)))
        for name, (parameter, declared) in options.items():
            if found[parameter.name] is _MISSING:
                found[parameter.name] = _default(name, parameter, declared, environment, config)
    except _NotPlainError:
        return None
    return found


def _declaration_of(parameter: inspect.Parameter) -> Declared:
    if get_origin(parameter.annotation) is Annotated:
        for each in parameter.annotation.__metadata__:
            if isinstance(each, Declared):
                return each
    raise _NotPlainError(parameter.name)


def _kind_of(parameter: inspect.Parameter) -> Any:
    """Return the type of one value: of `Path | None` and `list[Path]`, that is Path."""
    kind = get_args(parameter.annotation)[0]
    inner = [each for each in get_args(kind) if each is not NoneType]
    return inner[0] if inner else kind


def _names_of(parameter: inspect.Parameter, declared: Option) -> tuple[str, ...]:
    return declared.names or ("--" + parameter.name.replace("_", "-"),)


def _reader(kind: Any, declared: Option) -> Callable[[str], Any]:
    """Return what reads a value; whatever it does not take is not plain."""

    def read(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            raise _NotPlainError(text) from None
        if declared.least is not None and not value >= declared.least:
            raise _NotPlainError(text)
        if declared.most is not None and not value <= declared.most:
            raise _NotPlainError(text)
        return value

    if kind not in (str, int, float, Path) and not (isinstance(kind, type) and issubclass(kind, Enum)):
        raise _NotPlainError(str(kind))
    return read


def _default(
    name: str, parameter: inspect.Parameter, declared: Option, environment: Mapping[str, str], config: Mapping[str, Any]
) -> Any:
    """Return what an option is that nobody typed."""
    kind = _kind_of(parameter)
    given = environment.get(declared.envvar) if declared.envvar else None
    given = given or config.get(name)
    if given is None:
        if parameter.default is parameter.empty:
            raise _NotPlainError(name)
        return parameter.default
    if kind is bool:
        if not isinstance(given, bool):
            raise _NotPlainError(name)
        return given
    return _reader(kind, declared)(str(given))
