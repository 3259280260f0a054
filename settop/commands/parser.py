"""The parser of `settop` and of its commands: what is wrong is a sentence, with a guess and where to read on."""

import argparse
import re
from functools import partial
from typing import Any, NoReturn

from carousel.console.command import EXIT_USAGE
from carousel.console.defaults import variables_of

__all__ = ["Parser"]


class Parser(argparse.ArgumentParser):
    """Says what is wrong with a command line in one sentence.

    Each option that is added has a formatter made to look at it: one that is told a width does not look for a terminal.
    """

    def __init__(self, **arguments: Any) -> None:
        looks_for_no_terminal = partial(argparse.RawDescriptionHelpFormatter, width=80)
        super().__init__(allow_abbrev=False, formatter_class=looks_for_no_terminal, add_help=False, **arguments)
        self.add_argument("-h", "--help", action="help", help="show this help")

    def format_help(self) -> str:
        """Return the help, as wide as the terminal."""
        self.formatter_class = argparse.RawDescriptionHelpFormatter
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        """End with exit code 2."""
        if message.startswith("the following arguments are required"):
            words = message.replace(",", " ").replace("/", " ").split()
            variables = [variable for option, variable in variables_of(self).items() if option in words]
            message += f"; give them, or set {', '.join(variables)}" if variables else ""
        else:
            message += self._guess(message)
        self.exit(EXIT_USAGE, f"{self.prog}: {message}; `{self.prog} --help` tells more\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Read a command's own options; what it does not know is told here, where its help is, not by the program."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown

    def _guess(self, message: str) -> str:
        """Say which option or command may have been meant."""
        typed = re.search(r"unrecognized arguments: (--[\w-]+)|invalid choice: '([\w-]+)'", message)
        if typed is None:
            return ""
        from difflib import get_close_matches  # noqa: PLC0415  for slips alone

        commands = [each.choices for each in self._actions if isinstance(each, argparse._SubParsersAction)]
        names = [*self._option_string_actions, *(name for choices in commands for name in choices)]
        close = get_close_matches(typed[1] or typed[2], names, 1, 0.7)
        return f"; did you mean {close[0]}?" if close else ""
