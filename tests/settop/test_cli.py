"""The command line of a box: its help, its defaults, and what is wrong with what was typed."""

import argparse
import re
import subprocess
import sys

import pytest

from settop import cli
from settop.cli import main, make_parser
from settop.commands import flashing, options
from settop.flasher import frames
from settop.work import budget

COMMANDS = ("init", "receive", "run", "boot", "confirm", "mark-bad", "forget", "status", "flash", "console")
DEAR = ("numpy", "construct", "cryptography", "typer", "rich", "cffi", "serial", "tomllib", "settop.session")
OF_OTHERS = ("construct", "typer", "rich", "serial", "multiprocessing", "dataclasses")
OF_FEW = ("subprocess", "shutil", "carousel.bulletin", "settop.rollout.board", "settop.metrics")
"""What only boxes need that run programs, obey bulletins or are watched."""
FILLED_IN = "what is filled in is {image}, {version} or {slot}"
RECEIVE = ("receive", "--store", "x", "--interface", "lo")


def parse(*arguments):
    return make_parser().parse_args(arguments)


def settop(*arguments, env=None):
    code = "from settop.cli import main; main()"
    command = [sys.executable, "-P", "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env)


def test_what_is_declared_twice_for_a_quick_start_is_the_same():
    assert flashing.INITIAL_BAUD == frames.INITIAL_BAUD
    assert options.LEAST_MEMORY_BYTES == budget.LEAST_BYTES


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_imports_nothing_dear(command):
    code = f"import sys; from settop.cli import make_parser\ntry: make_parser().parse_args({[command, '-h']!r}[-2 if "
    code += f"{command!r} else -1:])\nexcept SystemExit: print(sorted(set({DEAR!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("module", "without"),
    [
        ("settop.session", (*OF_OTHERS, *OF_FEW, "settop.boot")),
        ("settop.commands.booting", (*OF_OTHERS, *OF_FEW, "numpy", "settop.session")),
        ("settop.commands.running", (*OF_OTHERS, *OF_FEW, "numpy", "settop.session")),
        ("settop.commands.status", (*OF_OTHERS, *OF_FEW, "numpy", "settop.session")),
    ],
)
def test_a_command_imports_nothing_dear_that_it_does_not_need(module, without):
    code = f"import sys, {module}; print(sorted(set({without!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_names_every_option_in_a_group_and_keeps_brackets(command, capsys):
    with pytest.raises(SystemExit) as ended:
        parse(command, "--help")
    told = capsys.readouterr().out
    assert ended.value.code == 0
    assert max(map(len, told.splitlines())) <= 96
    if command in ("receive", "run"):
        assert "[ff15::4d]:5077" in re.sub(r"\s+", " ", told)
        for group in ("Network:", "Trying out:", "Tuning:", "exit codes:", "example:"):
            assert group in told


def test_the_program_lists_its_commands_and_exit_codes(capsys):
    with pytest.raises(SystemExit):
        parse("-h")
    told = capsys.readouterr().out
    assert all(f"\n    {command} " in told for command in COMMANDS)
    assert "only images were heard that this box must refuse" in told


def test_version():
    done = settop("--version")
    assert (done.returncode, done.stdout.split()[:2]) == (0, ["settop", "(bootcast"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("receive", "--store", "x"), "--interface; give them, or set BOOTCAST_INTERFACE; `settop receive"),
        (
            ("init", "--store", "x"),
            "--hardware, --trust, --eeprom; give them, or set BOOTCAST_HARDWARE, BOOTCAST_EEPROM;",
        ),
        ((*RECEIVE, "--group", "10.0.0.1:5077"), "argument --group: 10.0.0.1 is no multicast group"),
        ((*RECEIVE, "--source", "notanip"), "argument --source: 'notanip' is no address"),
        ((*RECEIVE, "--drop-seed=-4"), "argument --drop-seed: '-4' is no whole number from 0"),
        ((*RECEIVE, "--drop", "5x"), "argument --drop: '5x' is not a share"),
        ((*RECEIVE, "--timeout", "0"), "argument --timeout: '0' is too short"),
        ((*RECEIVE, "--memory", "48"), "argument --memory: '48' is too little to receive anything; at least 26Mi"),
        ((*RECEIVE, "--memory", "1Ki"), "argument --memory: '1Ki' is too little"),
        ((*RECEIVE, "--tsi", "x"), "TSI 'x' is no 32-bit number"),
        ((*RECEIVE, "--tsi", "0x100000000"), "is no 32-bit number"),
        ((*RECEIVE, "--workers", "0"), "from 1 to 16"),
        (
            (*RECEIVE, "--drops", "1"),
            "unrecognized arguments: --drops 1; did you mean --drop?; `settop receive --help`",
        ),
        ((*RECEIVE, "--timout=2"), "--timout=2; did you mean --timeout?; `settop receive --help` tells more"),
        ((*RECEIVE, "--keep-listening"), "unrecognized arguments: --keep-listening; `settop receive --help`"),
        ((*RECEIVE, "more"), "unrecognized arguments: more; `settop receive --help`"),
        (("recieve", "--store", "x"), "did you mean receive?; `settop --help` tells more"),
        (("init", "--store", "x", "--hardware", "1:1", "--trust", "x", "--eeprom", "x"), "OUI:model"),
        *[
            (("boot", "--store", "x", "--command", words), f"argument --command: {said}; `settop boot")
            for words, said in {
                "": "'' is no command",
                "echo '": '"echo \'" is no command: check quotes and braces',
                "echo {": "'echo {' is no command: check quotes and braces",
                "echo {image.nope}": f"'echo {{image.nope}}' has {{image.nope}}: {FILLED_IN}",
                "echo {image!r}": f"'echo {{image!r}}' has {{image!r}}: {FILLED_IN}",
                "echo {imag}": f"'echo {{imag}}' has {{imag}}: {FILLED_IN}",
                "{0}": f"'{{0}}' has {{0}}: {FILLED_IN}",
            }.items()
        ],
        (("boot", "--store", "x", "--dry-run", "--count-only"), "not allowed with"),
        (("forget", "--store", "x", "eeprom"), "is no slot"),
        (("mark-bad", "--store", "x", "eeprom"), "is no slot"),
        (("dance",), "invalid choice: 'dance'"),
        (("flash",), "which port?"),
        (("flash", "--port", "x"), "nothing to do"),
        ((), "usage: settop"),
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_a_sentence_and_exit_code_2(arguments, words, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["settop", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr()
    assert ended.value.code == 2, told
    assert words in told.err + told.out
    if arguments:
        assert len(told.err.splitlines()) == 1


def commands_of(parser):
    return next(each.choices for each in parser._actions if isinstance(each, argparse._SubParsersAction))


def test_the_parser_of_one_command_is_that_of_the_whole_command_line():
    whole = commands_of(make_parser())
    assert list(whole) == list(cli.COMMANDS)
    for name, parser in whole.items():
        alone = commands_of(make_parser(name))
        assert list(alone) == [name]
        assert alone[name].format_help() == parser.format_help()
        assert alone[name].prog == parser.prog == f"settop {name}"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('hardware = "00A1B2:7"', "none is no store of a box"),
        ("hardwear = 1", "box.toml sets 'hardwear', which is no option"),
    ],
)
def test_a_config_file_may_name_options_of_other_commands_and_no_others(line, said, tmp_path, monkeypatch, capsys):
    config = tmp_path / "box.toml"
    config.write_text(f'{line}\nstore = "{tmp_path}/none"\ninterface = "lo"\n')
    monkeypatch.setenv("BOOTCAST_CONFIG", str(config))
    monkeypatch.setattr(sys, "argv", ["settop", "receive"])
    with pytest.raises(SystemExit):
        main()
    assert said in capsys.readouterr().err


def test_values_are_read_where_they_are_typed():
    found = parse(*RECEIVE, "--timeout", "2m", "--drop", "5%", "--tsi", "0x10", "--drop-seed", "7")
    assert (found.timeout, found.drop, found.tsi, found.drop_seed) == (120.0, 0.05, 16, 7)
    assert str(parse(*RECEIVE).group) == options.DEFAULT_GROUP
    assert parse(*RECEIVE).timeout == 60.0


@pytest.mark.slow
def test_the_environment_and_a_config_file_spare_typing(tmp_path):
    config = tmp_path / "box.toml"
    config.write_text(f'store = "{tmp_path}/none"\ninterface = "lo"\ntimeout = 3\n')
    env = {"BOOTCAST_CONFIG": str(config), "BOOTCAST_DROP": "no share"}
    assert "argument --drop: 'no share'" in settop("receive", env=env).stderr
    assert f"{tmp_path}/none is no store of a box" in settop("receive", "--drop", "0", env=env).stderr
    assert "typed is no store" in settop("receive", "--drop", "0", "--store", "typed", env=env).stderr
    env["BOOTCAST_STORE"] = "set"
    assert "set is no store" in settop("receive", "--drop", "0", env=env).stderr


def test_the_help_says_what_boot_does_with_nothing_to_start_an_image_with(capsys):
    with pytest.raises(SystemExit):
        parse("boot", "-h")
    told = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert "boot it by --command or --backend" in told
    assert "boot only says what would boot, as with --dry-run, and ends with 0" in told
