"""What bash completes for `settop`."""

import subprocess

import pytest

from bench.manual.completion import FILE, completion


def test_the_script_is_the_commands():
    assert FILE.read_text() == completion(), "run `make man`"


def completed(*words):
    """What bash offers for the last of these words."""
    script = f'source {FILE}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _settop; printf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-uc", script, "bash", *words], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["rec"], ["receive"]),
        (["receive", "--tim"], ["--timeout"]),
        (["receive", "--interface", "l"], ["lo"]),
        (["flash", "--reset", "d"], ["dtr"]),
        (["flash", "--tim"], []),
        (["receive", "--store", "any"], []),
    ],
)
def test_bash_offers_what_fits(words, offered):
    assert completed("settop", *words) == offered
