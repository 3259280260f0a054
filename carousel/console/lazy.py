"""Command groups whose commands are imported when they run: what one command needs, no other has to have or wait for.

A command is a function with Typer's annotations. The group knows its name and one line of help; asking for anything
more imports its module, and what is missing there is told in a sentence. (Typer carries click inside of it in its newer
versions and beside it in its older ones, so click's types have no name here.)
"""

import inspect
import os
import re
from collections.abc import Callable, Iterator
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, ClassVar, cast, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

from carousel.console.command import EXIT_USAGE
from carousel.console.declared import Argument, Option
from carousel.console.defaults import config_path, read_config
from carousel.errors import OperatorError, UsageError
from carousel.frozen import Frozen

__all__ = ["LazyCommand", "group_of"]

CONTEXT = {"help_option_names": ["-h", "--help"]}
DISTRIBUTION = "bootcast"


class LazyCommand(Frozen):
    """A command by name: `where` is `module:function`, `extra` what has to be installed for it beside the core.

    A module may have a group of commands there, as a `typer.Typer`.
    """

    name: str
    where: str
    help: str
    extra: str | None = None

    def load(self) -> Any:
        """Import the command; `OperatorError` where a package is missing."""
        module, _, function = self.where.partition(":")
        try:
            found = getattr(import_module(module), function)
        except ModuleNotFoundError as error:
            if self.extra is None or (error.name or "").split(".")[0] in ("carousel", "headend", "settop", "bench"):
                raise
            install = f"pip install '.[{self.extra}]' in a checkout of {DISTRIBUTION}"
            raise OperatorError(f"this needs {error.name}: {install}") from None
        if isinstance(found, typer.Typer):
            app = found
            for each in (*app.registered_commands, app.registered_callback):
                if each is not None and each.callback is not None:
                    each.callback = _for_typer(each.callback)
        else:
            app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, context_settings=CONTEXT)
            app.command(self.name)(_for_typer(found))
        command = typer.main.get_command(app)
        _say_in_words(command)
        return command


def _for_typer(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a command whose declarations are Typer's; those that are already are left as they are."""
    signature = inspect.signature(function)

    @wraps(function)
    def command(**arguments: Any) -> Any:
        return function(**arguments)

    parameters = [each.replace(annotation=_typed(each.annotation)) for each in signature.parameters.values()]
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command


def _typed(annotation: Any) -> Any:
    if get_origin(annotation) is not Annotated:
        return annotation
    kind, *metadata = get_args(annotation)
    return Annotated[kind, *map(_in_typers_words, metadata)]


def _in_typers_words(declared: Any) -> Any:
    """Turn a declaration into Typer's; what looks like markup in its text is shown as it is written."""
    if isinstance(declared, Argument):
        return typer.Argument(help=declared.text, metavar=declared.metavar)
    if not isinstance(declared, Option):
        return declared
    return typer.Option(
        *declared.names,
        help=declared.text.replace("[", "\\["),
        rich_help_panel=declared.group,
        metavar=declared.metavar,
        envvar=declared.envvar,
        min=declared.least,
        max=declared.most,
    )


def _say_in_words(command: Any) -> None:
    """Name the values of all options of a command, and of those in it."""
    hints = get_type_hints(command.callback) if command.callback else {}
    for param in command.params:
        _name_value(param, hints.get(param.name, bool))
    make_help_option = command.get_help_option

    def help_option(ctx: Any) -> Any:
        return _as_switch(make_help_option(ctx))

    command.get_help_option = help_option
    for each in getattr(command, "commands", {}).values():
        _say_in_words(each)


def _as_switch(option: Any) -> Any:
    if option is not None:
        option.metavar = ""
    return option


def _name_value(param: Any, hint: Any) -> None:
    """Say what to type behind an option in a word, not in Python's types; behind a switch, nothing."""
    if param.param_type_name == "argument":
        param.display_type_rich = lambda ctx: None  # its name says it; older versions of Typer do not ask
        return
    if param.metavar is not None:
        return
    kinds = set(_types_in(hint))
    words = {bool: "", Path: "FILE", int: "N", float: "NUMBER", str: param.name.upper().replace("_", "-")}
    param.metavar = next((word for kind, word in words.items() if kind in kinds), None)


def _types_in(hint: Any) -> Iterator[Any]:
    """Yield the types that a hint such as `list[Path] | None` is made of."""
    yield hint
    for each in get_args(hint):
        yield from _types_in(each)


class _LazyGroup(TyperGroup):
    """Lists its commands from the table, and loads the one that is asked for."""

    lazy: ClassVar[dict[str, LazyCommand]]
    config: ClassVar[str | None]

    def main(self, *args: Any, **more: Any) -> Any:
        """Run; what is wrong with a command line is told in one sentence, as `settop` does, not in a box."""
        try:
            ended = super().main(*args, **more | {"standalone_mode": False})
        except Exception as error:
            if not hasattr(error, "format_message"):
                raise
            if type(error).__name__ == "NoArgsIsHelpError":
                cast(Any, error).show()
                raise SystemExit(EXIT_USAGE) from None
            raise UsageError(_sentence_of(error, self.name or "")) from None
        raise SystemExit(ended if isinstance(ended, int) else 0)

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names in the order of the table."""
        return list(self.lazy)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a stand-in that knows its name and its line of help."""
        entry = self.lazy.get(cmd_name)
        return TyperCommand(entry.name, help=entry.help, rich_markup_mode="rich") if entry else None

    def get_params(self, ctx: Any) -> Any:
        """Return the group's own options, which are switches all."""
        return [_as_switch(option) for option in super().get_params(ctx)]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the real command; what the environment or else the config file says is its options' default."""
        name, stand_in, rest = super().resolve_command(ctx, args)
        if not stand_in or not stand_in.name:
            return name, stand_in, rest
        command = self.lazy[stand_in.name].load()
        ctx.default_map = {name: self._defaults_for(command)}
        return name, command, rest

    def _defaults_for(self, command: Any) -> dict[str, Any]:
        if self.config is None:
            return {}
        given = read_config(self.config, os.environ)
        mine = {name: given[name] for name in given.keys() & _settable(command).keys()}
        unknown = given.keys() - mine.keys()
        if unknown:
            unknown -= {
                name for each in self.lazy.values() if each.name != command.name for name in _settable(each.load())
            }
        for name in sorted(unknown):
            path = config_path(self.config, os.environ)
            raise UsageError(f"{path} sets {name!r}, which is no option of any command")
        return {_settable(command)[name]: value for name, value in mine.items()}


_PLAINLY = (
    (r"Input should be a valid number\b.*", "this is no number"),
    (r"Input should be a valid integer\b.*", "this is no whole number"),
    (r"Input should be less than or equal to ", "the most is "),
    (r"Input should be greater than or equal to ", "the least is "),
)
"""What newer versions of Typer say of numbers, and how people do."""


def _sentence_of(error: Any, program: str) -> str:
    """Say what click says of a command line, and where to read on."""
    text = " ".join(error.format_message().split()).rstrip(".")
    for said, plainly in _PLAINLY:
        text = re.sub(said, plainly, text)
    text = re.sub(r" \(env var: [^)]*\)", "", text)
    variable = getattr(getattr(error, "param", None), "envvar", None)
    hint = f"; give it, or set {variable}" if variable and text.startswith("Missing") else ""
    program = error.ctx.command_path if error.ctx else program
    return f"{text[:1].lower()}{text[1:]}{hint}; `{program} --help` tells more"


def _settable(command: Any) -> dict[str, str]:
    """Return the options that hold one value or are switches: what they are called, and their parameters' names."""
    return {
        max(param.opts, key=len).removeprefix("--"): param.name
        for param in command.params
        if param.param_type_name == "option" and not param.multiple
    }


def group_of(
    program: str, text: str, commands: tuple[LazyCommand, ...], config: str | None = None, epilog: str = ""
) -> typer.Typer:
    """Make a program of these commands, with --version, -h and shell completion; `config` holds options' defaults."""
    config_file = config

    class Group(_LazyGroup):
        lazy: ClassVar[dict[str, LazyCommand]] = {command.name: command for command in commands}
        config: ClassVar[str | None] = config_file

    app = typer.Typer(
        cls=Group,
        name=program,
        help=text,
        epilog=epilog or None,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings=CONTEXT,
    )

    def print_version(asked: bool) -> None:
        if asked:
            from importlib import metadata  # noqa: PLC0415  with it comes all of email

            print(f"{program} ({DISTRIBUTION} {metadata.version(DISTRIBUTION)})")
            raise typer.Exit

    @app.callback()
    def _callback(
        version: bool = typer.Option(
            False, "--version", help="Show the version.", callback=print_version, is_eager=True
        ),
    ) -> None:
        del version

    return app
