"""Command groups whose commands are imported when they run: what one command needs, no other has to have or wait for.

A command is a function with Typer's annotations. The group knows its name and one line of help; asking for anything
more imports its module, and what is missing there is told in a sentence. (Typer carries click inside of it in its newer
versions and beside it in its older ones, so click's types have no name here.)
"""

from dataclasses import dataclass
from importlib import import_module, metadata
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from carousel.errors import OperatorError

__all__ = ["LazyCommand", "group_of"]

CONTEXT = {"help_option_names": ["-h", "--help"]}
DISTRIBUTION = "bootcast"


@dataclass(frozen=True)
class LazyCommand:
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
            raise OperatorError(f"this needs {error.name}: pip install '{DISTRIBUTION}[{self.extra}]'") from None
        if isinstance(found, typer.Typer):
            return typer.main.get_command(found)
        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, context_settings=CONTEXT)
        app.command(self.name)(found)
        return typer.main.get_command(app)


class _LazyGroup(TyperGroup):
    """Lists its commands from the table, and loads the one that is asked for."""

    lazy: ClassVar[dict[str, LazyCommand]]

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names in the order of the table."""
        return list(self.lazy)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a stand-in that knows its name and its line of help."""
        entry = self.lazy.get(cmd_name)
        return TyperCommand(entry.name, help=entry.help, rich_markup_mode="rich") if entry else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the real command."""
        name, stand_in, rest = super().resolve_command(ctx, args)
        return name, self.lazy[stand_in.name].load() if stand_in and stand_in.name else stand_in, rest


def group_of(program: str, text: str, commands: tuple[LazyCommand, ...]) -> typer.Typer:
    """Make a program of these commands, with --version, -h and shell completion."""

    class Group(_LazyGroup):
        lazy: ClassVar[dict[str, LazyCommand]] = {command.name: command for command in commands}

    app = typer.Typer(
        cls=Group,
        name=program,
        help=text,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings=CONTEXT,
    )

    def print_version(asked: bool) -> None:
        if asked:
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
