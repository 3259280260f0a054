"""Single faults that must stop no boot, and what a box says of silence: real commands, packets on lo alone."""

import os
import signal
import subprocess
from itertools import count

import pytest

from headend.pack.keys import write_key_pair
from tests.conftest import noise
from tests.e2e.lab import BIN, Lab, command, free_port, named, prepare, run

pytestmark = pytest.mark.processes
NUMBERS = count()


@pytest.fixture(scope="module")
def shared_lab(tmp_path_factory):
    return Lab(tmp_path_factory.mktemp("lab"), free_port())


@pytest.fixture
def lab(shared_lab):
    shared_lab.group = f"239.255.77.1:{free_port()}"
    return shared_lab


def start(box):
    return ("boot", "--store", box, "--json", "--command", "echo started {slot}")


@pytest.mark.parametrize("log", ["/dev/full", "closed", "nobody reads"])
def test_a_log_that_takes_nothing_stops_no_boot(lab, tmp_path, log):
    box = lab.box(f"box{next(NUMBERS)}")
    done_file = tmp_path / "done"
    arguments = command("settop", "boot", "--store", box, "--json", "--command", f"touch {done_file}")
    if log == "/dev/full":
        with open(log, "w") as out:
            done = subprocess.run(arguments, stdout=out, timeout=60, check=False)
    elif log == "closed":
        done = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", *arguments], timeout=60, check=False)
    else:
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(arguments, stdout=writer, timeout=60, check=False)
        os.close(writer)
    assert done.returncode == 0
    assert done_file.exists()


@pytest.mark.parametrize("log", ["/dev/full", "closed", "nobody reads"])
def test_a_log_that_takes_nothing_stops_no_carousel(lab, log):
    box, release = lab.box(f"box{next(NUMBERS)}"), lab.pack(noise(60_000), "1.2.0", "unlogged")
    arguments = command("headend", "cast", release, "--group", lab.group, "--interface", "lo", "--json")
    shell = ["sh", "-c", 'exec "$@" >&- 2>&-', "sh"] if log == "closed" else []
    reader, writer = os.pipe()
    os.close(reader)
    with open("/dev/full", "w") as full, os.fdopen(writer, "w") as unread:
        out = full if log == "/dev/full" else unread
        casting = subprocess.Popen([*shell, *arguments], stdout=out, stderr=out)
        try:
            assert lab.receive(box).returncode == 0
            assert casting.poll() is None
        finally:
            casting.send_signal(signal.SIGTERM)
            casting.wait(timeout=30)


def test_nothing_is_imported_from_the_current_directory(lab, tmp_path):
    box = lab.box(f"box{next(NUMBERS)}")
    for name in ("settop", "carousel", "numpy", "json", "argparse", "cffi"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('imported from the current directory')")
    listen = ("--group", lab.group, "--interface", "lo", "--timeout", "0.3")
    for arguments in (
        start(box),
        ("receive", "--store", box, *listen),
        ("run", "--store", box, *listen, "--command", "true"),
    ):
        done = subprocess.run(
            command("settop", *arguments), cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert "current directory" not in done.stdout + done.stderr
        assert done.returncode in (0, 3), done.stderr


def test_odd_things_in_place_of_files_boot_the_eeprom_in_time(lab):
    box = lab.box(f"box{next(NUMBERS)}")
    for make, name in ((os.mkfifo, "slot-a.image"), (os.mkdir, "slot-a.header"), (os.mkfifo, "slot-b.header")):
        make(box / name)
    (box / "state.bin").unlink()
    os.mkfifo(box / "state.bin")
    (box / "box.json").write_text("[" * 100_000)
    done = run("settop", *start(box), timeout=30)
    assert done.returncode == 0, done.stderr
    assert "started eeprom" in done.stdout
    notes = " ".join(line for line in done.stdout.splitlines() if '"note"' in line)
    assert "box.json is damaged" in notes
    assert "state.bin can't be read" in notes


def test_a_key_that_is_not_trusted_is_named_and_exit_4(lab):
    box = lab.box(f"box{next(NUMBERS)}")
    write_key_pair(lab.folder / "stranger")
    (lab.folder / "theirs").write_bytes(noise(50_000))
    release = lab.folder / "theirs.release"
    pack = ("-o", release, "--key", lab.folder / "stranger.key", "--hardware", "00A1B2:7", "--version", "9.0.0")
    prepare("headend", "pack", lab.folder / "theirs", *pack)
    with lab.cast(release):
        done = lab.receive(box, timeout=1.5)
    assert done.returncode == 4, done.stdout
    (nothing,) = named(done.stdout, "nothing")
    assert "which this box does not trust" in nothing["why"]


def test_silence_and_another_session_are_told_apart(lab):
    box = lab.box(f"box{next(NUMBERS)}")
    silent = lab.receive(box, timeout=0.5)
    assert (silent.returncode, "no packet came" in named(silent.stdout, "nothing")[0]["why"]) == (3, True)
    with lab.cast(lab.pack(noise(50_000), "1.0.0", "other", "--tsi", "0x77")):
        other = lab.receive(box, timeout=1.5)
    assert (other.returncode, "another session" in named(other.stdout, "nothing")[0]["why"]) == (3, True)


def test_ctrl_c_says_what_is_kept_and_a_dead_carousel_is_noticed(lab):
    box = lab.box(f"box{next(NUMBERS)}")
    with lab.cast(lab.pack(noise(8_000_000), "1.0.0", "big"), rate="20M"):
        receiving = lab.start_receive(box, timeout=60)
        for line in receiving.stdout:
            if '"progress"' in line and '"useful_symbols": 0,' not in line:
                break
    for line in receiving.stdout:
        if "nothing for 5 s" in line:
            break
    receiving.send_signal(signal.SIGINT)
    rest, _ = receiving.communicate(timeout=30)
    assert receiving.returncode == 130
    assert [0 < each["share"] < 1 for each in named(rest, "kept")] == [True], rest


def test_an_older_release_is_taken_when_asked_for(lab):
    box = lab.box(f"box{next(NUMBERS)}")
    with lab.cast(lab.pack(noise(60_001), "2.0.0", "newer")):
        assert lab.receive(box).returncode == 0
    with lab.cast(lab.pack(noise(60_000), "1.0.0", "older")):
        assert lab.receive(box, timeout=1.5).returncode == 4
        done = lab.receive(box, "--allow-older")
    assert named(done.stdout, "installed")[0]["version"] == "1.0.0"


def test_pack_says_at_once_what_is_no_image(lab):
    os.mkfifo(lab.folder / "fifo")
    options = ("-o", lab.folder / "y", "--key", lab.folder / "lab.key", "--hardware", "00A1B2:7", "--version", "1.0.0")
    fifo = run("headend", "pack", lab.folder / "fifo", *options, timeout=30)
    assert (fifo.returncode, fifo.stderr.count("\n"), "no regular file" in fifo.stderr) == (1, 1, True)
    odd = os.fsencode(lab.folder) + b"/im\xffage"
    with open(odd, "wb") as file:
        file.write(noise(5_000))
    done = subprocess.run(
        [str(BIN / "headend").encode(), b"pack", odd, *(os.fsencode(str(each)) for each in options)],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    named_badly = run("headend", "pack", lab.eeprom, *options, "--name", "a\x1b[2J")
    assert (named_badly.returncode, "can't be printed" in named_badly.stderr) == (2, True)
