"""`headend cast` without Typer: a plain command line means the same to both, and what is not plain is Typer's."""

import os
import subprocess
import sys

import pytest

from carousel.console.plain import read_plainly
from headend import cli
from headend.commands.cast import cast
from headend.program import COMMANDS

COMMAND = next(each for each in COMMANDS if each.name == "cast")
LEAST = ["v1.release", "--interface", "lo"]
EVERYTHING = [
    *("--group", "[ff15::4d]:5077", "--rate", "5M", "--cycles", "3", "--ttl", "0", "--dscp", "63", "--seed", "7"),
    *("--announce-interval", "1.5", "--no-gso", "--json", "--pair", "second", "--bulletin-key", "k", "--rollout", "r"),
    *("--ssu", "--rtp", "--service-id", "9", "--network-id", "8", "--ts-id", "6", "--pid", "0x200", "--pcr"),
]


def by_typer(words, environment=None, monkeypatch=None):
    """What Typer makes of a command line."""
    for name, value in (environment or {}).items():
        monkeypatch.setenv(name, value)
    command = COMMAND.load()
    return command.make_context("cast", list(words)).params


@pytest.mark.parametrize(
    "words",
    [
        LEAST,
        ["--interface", "lo", "v1.release", "v2.release"],
        ["a.release", "--interface", "lo", "b.release"],
        ["--interface=lo", "--rate=5M", "v1.release"],
        [*LEAST, *EVERYTHING],
    ],
)
def test_a_plain_line_means_the_same_to_both(words):
    assert read_plainly(cast, words, {}, {}) == by_typer(words)


def test_the_environment_wins_over_the_config_and_the_line_over_both(monkeypatch):
    environment = {"BOOTCAST_INTERFACE": "eth1", "BOOTCAST_RATE": "7M"}
    words = ["v1.release", "--rate", "9M"]
    assert read_plainly(cast, words, environment, {}) == by_typer(words, environment, monkeypatch)
    config = {"interface": "eth0", "ttl": 4, "json": True, "group": "239.255.0.1:9"}
    read = read_plainly(cast, words, environment, config)
    assert (read["interface"], read["rate"], read["ttl"], read["group"]) == ("eth1", "9M", 4, "239.255.0.1:9")
    assert read["as_json"] is True


@pytest.mark.parametrize(
    ("words", "config"),
    [
        (["--help"], {}),
        ([*LEAST, "-h"], {}),
        (["v1.release"], {}),
        (["--interface", "lo"], {}),
        ([*LEAST, "--ttl", "256"], {}),
        ([*LEAST, "--ttl", "many"], {}),
        ([*LEAST, "--pair", "third"], {}),
        ([*LEAST, "--frob"], {}),
        ([*LEAST, "--rat", "5M"], {}),
        ([*LEAST, "--rate"], {}),
        (LEAST, {"listen": "127.0.0.1:80"}),
        (LEAST, {"ttl": 999}),
        (LEAST, {"json": "yes"}),
    ],
)
def test_what_is_not_plain_is_left_to_typer(words, config):
    assert read_plainly(cast, words, {}, config) is None


def test_a_cast_imports_neither_typer_nor_what_looks_for_a_terminal(tmp_path):
    script = "import sys\nsys.argv = ['headend', 'cast', 'none.release', '--interface', 'lo']\n"
    script += "from headend.cli import main\ntry: main()\n"
    script += "except SystemExit: print({'typer', 'construct', 'shutil', 'headend.serve'} & set(sys.modules))\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == "set()\n"
    assert "none.release" in done.stderr


def test_what_casts_is_not_imported_to_steer_a_service(tmp_path):
    script = "import sys\nsys.argv = ['headend', 'ctl', 'carousels']\nfrom headend.cli import main\ntry: main()\n"
    script += "except SystemExit: print({'numpy', 'headend.casting', 'headend.rollout'} & set(sys.modules))"
    environment = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert "holds no token" in done.stderr
    assert done.stdout == "set()\n"


def test_other_commands_and_completion_go_to_typer(monkeypatch):
    asked = []
    monkeypatch.setattr("headend.program.app", lambda: asked.append(list(sys.argv[1:])))
    for words, completing in ((["inspect", "x"], None), ([], None), (["cast", *LEAST], "complete_bash")):
        monkeypatch.setattr(sys, "argv", ["headend", *words])
        if completing:
            monkeypatch.setenv(cli.COMPLETING, completing)
        cli.main()
    assert asked == [["inspect", "x"], [], ["cast", *LEAST]]
