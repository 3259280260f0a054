"""What a program's commands are, read off argparse or Typer: names, arguments and options by group, words."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from carousel.console.lazy import LazyCommand
from settop.cli import make_parser

__all__ = ["Command", "Value", "commands_of_settop", "commands_of_table"]


@dataclass(frozen=True)
class Value:
    """An argument or option: `shown` is what is typed, such as `--rate RATE`."""

    shown: str
    text: str
    is_argument: bool = False
    is_required: bool = False


@dataclass(frozen=True)
class Command:
    """A command: its words, its arguments, its options by group in their order, and what help says below them."""

    name: str
    text: str
    values: dict[str, tuple[Value, ...]]
    epilog: str = ""


def commands_of_table(table: tuple[LazyCommand, ...]) -> Iterator[Command]:
    """Yield the commands of a program made by `group_of`; those in a group as `group command`."""
    for entry in table:
        yield from _typer_commands(entry.name, entry.load())


def _typer_commands(name: str, command: Any) -> Iterator[Command]:
    inner = getattr(command, "commands", None)
    if inner is not None:
        for each in inner.values():
            yield from _typer_commands(f"{name} {each.name}", each)
        return
    groups: dict[str, list[Value]] = {}
    for param in command.params:
        is_argument = param.param_type_name == "argument"
        title = "" if is_argument else getattr(param, "rich_help_panel", None) or "Options"
        groups.setdefault(title, []).append(_typer_value(param, is_argument))
    yield Command(name, command.help or "", {title: tuple(values) for title, values in groups.items()})


def _typer_value(param: Any, is_argument: bool) -> Value:
    text = (param.help or "").replace("\\[", "[")
    if is_argument:
        return Value(param.metavar or param.name.upper(), text, True, param.required)
    names = ", ".join((*param.opts, *param.secondary_opts))
    shown = f"{names} {param.metavar}".strip() if param.metavar is not None else f"{names} {_choices_of(param)}".strip()
    default = param.default
    if default not in (None, False, "") and not callable(default) and param.metavar != "":
        text = f"{text} (default: {getattr(default, 'value', default)})"
    if param.envvar:
        text = f"{text} [{param.envvar}]"
    return Value(shown, text, is_required=param.required)


def _choices_of(param: Any) -> str:
    """Return the words of a choice, whichever Typer it is."""
    described = getattr(param, "type_descriptor", None) or param.type
    choices = getattr(described, "choices", None) or ()
    return "|".join(str(getattr(each, "value", each)) for each in choices)


def commands_of_settop() -> Iterator[Command]:
    """Yield the commands of `settop`, which are argparse's."""
    table = next(action for action in make_parser()._actions if isinstance(action, argparse._SubParsersAction))
    for name, parser in table.choices.items():
        groups = {}
        for group in parser._action_groups:
            values = tuple(_argparse_value(each) for each in group._group_actions if each.dest != "help")
            if values:
                title = {"positional arguments": "", "options": "Options"}.get(group.title or "", group.title or "")
                groups[title] = values
        epilog = (parser.epilog or "").split("exit codes:")[0]  # a page has them once
        yield Command(name, _sentence(parser.description or ""), groups, epilog)


def _argparse_value(action: argparse.Action) -> Value:
    text = _sentence((action.help or "").replace("%%", "%"))
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if not action.option_strings:
        return Value(metavar, text, True, action.nargs not in ("?", "*"))
    if action.choices is not None and action.metavar is None:
        metavar = "|".join(map(str, action.choices))
    names = ", ".join(action.option_strings)
    return Value(names if action.nargs == 0 else f"{names} {metavar}", text, is_required=action.required)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", ")")) or not text else ".")
