"""docs/man: one page a program, in man(7)'s macros. `python -m bench.manual.pages` writes them (`make man`)."""

from collections.abc import Iterator
from pathlib import Path

from bench.cli import COMMANDS as BENCH_COMMANDS
from bench.manual.commands import Command, Value, commands_of_settop, commands_of_table
from headend.program import COMMANDS as HEADEND_COMMANDS

__all__ = ["FOLDER", "PROGRAMS", "page"]

FOLDER = Path(__file__).parents[2] / "docs" / "man"
PROGRAMS = {
    "headend": "make keys, pack boot images into signed releases, and cast them for ever",
    "settop": "receive a boot image off the air, install it, boot it, confirm it",
    "bootbench": "try bootcast before a box ships: lossy links, captures, other tools, fleets",
}
DESCRIPTION = (
    "One broadcast boots a whole neighbourhood. A head-end multicasts a signed boot image as a block carousel, for "
    "ever; a box that powers up at any moment stitches the image from the blocks that reach it, verifies it, installs "
    "it and boots it. Nothing flows back."
)
EXIT_CODES = {
    "0": "Done.",
    "1": "It could not be done; one sentence on stderr says why, and what to do.",
    "2": "A wrong command line.",
}
MORE_EXIT_CODES = {
    "settop": {
        "3": "Nothing acceptable was heard before the deadline.",
        "4": "Only images were heard that this box must refuse, or that are signed by a key it does not trust.",
        "others": "boot and run end with the exit code of --command, if it was run; run ends with 1 where nothing is "
        "there to start an image with.",
    }
}
FILES = {
    "headend": "/etc/bootcast/headend.toml",
    "settop": "/etc/bootcast/settop.toml",
}
DEFAULTS = (
    'Defaults of options, in TOML: interface = "eth0". BOOTCAST_CONFIG names another file. The command line wins, then '
    "BOOTCAST_NAME in the environment (BOOTCAST_INTERFACE, BOOTCAST_GROUP), then this file."
)


def page(program: str) -> str:
    """Return a program's whole page."""
    return "".join(line + "\n" for line in _lines(program))


def _lines(program: str) -> Iterator[str]:
    yield f'.\\" Made by `make man` from the commands of {program}: do not edit.'
    yield f'.TH {program.upper()} 1 "" "bootcast" "User Commands"'
    yield from (".SH NAME", f"{program} \\- {_text(PROGRAMS[program])}")
    yield from (
        ".SH SYNOPSIS",
        f".B {program}",
        "COMMAND [OPTIONS] ...",
        ".br",
        f".B {program}",
        "\\-\\-version | \\-h",
    )
    yield from (".SH DESCRIPTION", _text(DESCRIPTION))
    yield ".SH COMMANDS"
    for command in _commands_of(program):
        yield from _command_lines(program, command)
    if program in FILES:
        yield from (".SH FILES", ".TP", f".I {_text(FILES[program])}", _text(DEFAULTS))
    yield ".SH EXIT STATUS"
    for code, text in (EXIT_CODES | MORE_EXIT_CODES.get(program, {})).items():
        yield from (".TP", f".B {code}", _text(text))
    yield ".SH SEE ALSO"
    yield ", ".join(f"\\fB{each}\\fR(1)" for each in PROGRAMS if each != program)


def _commands_of(program: str) -> Iterator[Command]:
    if program == "settop":
        return commands_of_settop()
    return commands_of_table(HEADEND_COMMANDS if program == "headend" else BENCH_COMMANDS)


def _command_lines(program: str, command: Command) -> Iterator[str]:
    every = [value for values in command.values.values() for value in values]
    typed = [value.shown if value.is_required else f"[{value.shown}]" for value in every if value.is_argument]
    needed = [value.shown.split(", ")[-1] for value in every if value.is_required and not value.is_argument]
    yield f'.SS "{program} {command.name}"'
    yield _text(" ".join((program, command.name, *typed, *needed, "[OPTIONS]")))
    yield ".PP"
    yield _text(" ".join(command.text.split()))
    for title, values in command.values.items():
        if title not in ("", "Options"):
            yield from (".PP", f".I {_text(title)}")
        for value in values:
            yield from _value_lines(value)
    if command.epilog:
        yield from (".PP", ".nf", *(_text(line) for line in command.epilog.rstrip().splitlines()), ".fi")


def _value_lines(value: Value) -> Iterator[str]:
    yield from (".TP", f".B {_text(value.shown)}", _text(" ".join(value.text.split())) or "\\&")


def _text(words: str) -> str:
    """Write words as roff has them: no line begins with a control character, and a hyphen that is typed is one."""
    escaped = words.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


def main() -> None:
    """Write all pages."""
    FOLDER.mkdir(exist_ok=True)
    for program in PROGRAMS:
        (FOLDER / f"{program}.1").write_text(page(program))


if __name__ == "__main__":
    main()
