"""docs/completions/settop: what bash completes for it. `python -m bench.manual.completion` writes it (`make man`).

`headend` and `bootbench` are Typer's, which makes theirs itself (`--install-completion`); argparse has none.
"""

from pathlib import Path

from bench.manual.commands import Command, commands_of_settop

__all__ = ["FILE", "completion"]

FILE = Path(__file__).parents[2] / "docs" / "completions" / "settop"
SCRIPT = """\
# Made by `make man` from the commands of settop: do not edit.
_settop() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}} words=
  case $before in
    --interface) words=$(ls /sys/class/net) ;;
{choices}
  esac
  if [[ -z $words && $COMP_CWORD == 1 ]]; then
    words="{commands} --help --version"
  elif [[ -z $words && $word == -* ]]; then
    case ${{COMP_WORDS[1]}} in
{options}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _settop settop
"""
"""Where nothing fits, files are completed."""


def completion() -> str:
    """Return the whole script."""
    commands = list(commands_of_settop())
    choices: dict[str, str] = {}
    for command in commands:
        choices |= {name: words.replace("|", " ") for name, words in _options_of(command).items() if "|" in words}
    options = {command.name: " ".join((*_options_of(command), "--help")) for command in commands}
    return SCRIPT.format(
        choices="\n".join(f'    {name}) words="{words}" ;;' for name, words in choices.items()),
        commands=" ".join(options),
        options="\n".join(f'      {name}) words="{words}" ;;' for name, words in options.items()),
    )


def _options_of(command: Command) -> dict[str, str]:
    """Return the long names of a command's options, and what follows each."""
    every = [value for values in command.values.values() for value in values if not value.is_argument]
    found = (value.shown.split(", ")[-1].partition(" ") for value in every)
    return {name: metavar for name, _, metavar in found}


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(completion())
