"""Real head-ends and boxes on lo, by a transport stream; and a real remultiplexer between them."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.bench.link.test_relay import free_port
from tests.conftest import noise
from tests.e2e.lab import BIN, Lab, named, run, wait_for

pytestmark = pytest.mark.processes
IMAGE = noise(1_500_000, "ssu")


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path, free_port())


def slot_image(box: Path) -> bytes:
    """The image that the box would boot."""
    done = run("settop", "boot", "--store", box, "--command", "cp {image} {image}.taken")
    assert done.returncode == 0, done.stderr
    return next(box.rglob("*.taken")).read_bytes()


@pytest.mark.parametrize("rtp", [(), ("--rtp",)], ids=["udp", "rtp"])
def test_a_box_takes_the_stream_through_losses(lab, rtp):
    release = lab.pack(IMAGE, "2.0.0", "image", "--ssu")
    box = lab.box("box")
    with lab.cast(release, rate="40M", options=("--ssu", *rtp)):
        done = lab.receive(box, "--ssu", *rtp, "--drop", "20%", timeout=60)
    assert done.returncode == 0, done.stdout
    (verified,) = named(done.stdout, "image_verified")
    # Of more than 1,000 datagrams: the deviation of a fifth is 0.013, and gaps of three are taken for shorter ones.
    assert verified["loss"] == pytest.approx(0.2, abs=0.07)
    assert named(done.stdout, "installed")[0]["version"] == "2.0.0"
    assert slot_image(box) == IMAGE


def test_the_same_release_by_both_transports_at_once(lab):
    release = lab.pack(IMAGE, "2.0.0", "image", "--ssu")
    boxes = lab.box("flute"), lab.box("ssu")
    other = Lab.__new__(Lab)
    other.folder, other.group = lab.folder / "other", f"239.255.77.2:{free_port()}"
    other.folder.mkdir()
    with lab.cast(release, rate="30M"), other.cast(release, rate="30M", options=("--ssu",)):
        done = [lab.receive(boxes[0], timeout=60), other.receive(boxes[1], "--ssu", timeout=60)]
    for one, box in zip(done, boxes, strict=True):
        assert named(one.stdout, "installed")[0]["version"] == "2.0.0", one.stdout
        assert slot_image(box) == IMAGE


def test_an_update_is_noticed(lab):
    release = lab.pack(IMAGE, "2.0.0", "image", "--ssu")
    newer = lab.pack(IMAGE[::-1], "2.1.0", "newer", "--ssu")
    box = lab.box("box")
    with lab.cast(release, rate="40M", options=("--ssu",)):
        assert lab.receive(box, "--ssu", timeout=60).returncode == 0
        os.replace(newer, release)
        wait_for(lambda: '"swapped"' in (lab.folder / "cast.log").read_text())
        done = lab.receive(box, "--ssu", timeout=60)
    assert named(done.stdout, "installed")[0]["version"] == "2.1.0", done.stdout


def test_another_maker_is_listened_for_when_asked(lab):
    release = lab.pack(IMAGE, "2.0.0", "image", "--ssu")
    with lab.cast(release, rate="40M", options=("--ssu", "--pid", "0x345", "--service-id", 9)):
        done = lab.receive(lab.box("box"), "--ssu", "--oui", "00A1B2", timeout=60)
    assert named(done.stdout, "installed"), done.stdout


@pytest.mark.namespaces
@pytest.mark.dvb
def test_a_real_remultiplexer_in_between_does_not_matter(lab):
    """DVBlast moves the PMT, rebuilds PAT, SDT and NIT, and cuts datagrams anew; in a network of its own."""
    release = lab.pack(IMAGE, "2.0.0", "image", "--ssu")
    box = lab.box("box")
    folder, into, out = lab.folder, "239.255.78.8:5300", "239.255.78.9:5400"
    (folder / "dvblast.conf").write_text(f"{out}/udp 1 1\n")
    cast = f"{BIN}/headend cast {release} --ssu --group {into} --interface lo --rate 20M"
    blast = f"{shutil.which('dvblast')} -z -C -c dvblast.conf -D {into}/udp/ifaddr=127.0.0.1 -0 0x400,0x500,0x501,0x502"
    take = f"{BIN}/settop receive --ssu --store {box} --group {out} --interface lo --timeout 60 --json"
    script = f"""
        ip link set lo up && ip route add 239.0.0.0/8 dev lo
        {cast} >cast.log 2>&1 & caster=$!
        {blast} >dvblast.log 2>&1 & blaster=$!
        {take}; code=$?
        kill $caster $blaster; wait; exit $code
    """
    done = subprocess.run(
        ["unshare", "-n", "bash", "-c", script], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert named(done.stdout, "installed")[0]["version"] == "2.0.0"
    heard = (folder / "dvblast.log").read_text(errors="replace")
    assert "System Software Update Service" in heard
    assert slot_image(box) == IMAGE


def test_files_for_other_multiplexers(lab):
    release = lab.pack(IMAGE, "2.0.0", "image", "--ssu")
    done = run("headend", "ts", release, "-o", lab.folder / "x.ts", "--loops", 1, "--rate", "8M")
    assert done.returncode == 0, done.stderr
    size = (lab.folder / "x.ts").stat().st_size
    assert size % 1316 == 0
    assert 2 * len(IMAGE) < size < 2.3 * len(IMAGE)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--ssu", "--symbol-size", "1440"), "leave --symbol-size out"),
        (("--ssu", "--repair", "4.1"), "not between 0 and 4"),
    ],
)
def test_what_can_not_be_packed_is_said(lab, arguments, sentence):
    (lab.folder / "x").write_bytes(IMAGE)
    where = ("-o", lab.folder / "x.release", "--key", lab.folder / "lab.key")
    done = run("headend", "pack", lab.folder / "x", *where, "--hardware", "00A1B2:7", "--version", "1.0.0", *arguments)
    assert done.returncode != 0
    assert sentence in done.stderr


def test_a_release_that_is_no_carousel_is_refused_with_what_would_do(lab):
    release = lab.pack(IMAGE, "2.0.0", "image", "--symbol-size", "8000")
    done = run("headend", "ts", release, "-o", lab.folder / "x.ts")
    assert done.returncode == 1
    assert "headend pack --ssu" in done.stderr
    assert not (lab.folder / "x.ts").exists()


def test_a_release_that_was_packed_for_flute_goes_out_and_what_that_costs_is_said(lab):
    release = lab.pack(IMAGE, "2.0.0", "image")
    done = run("headend", "ts", release, "-o", lab.folder / "x.ts", "--loops", 1)
    assert done.returncode == 0, done.stderr
    assert "was not packed with --ssu" in done.stdout
