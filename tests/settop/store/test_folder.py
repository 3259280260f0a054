"""A box's folder as `init` makes it, what it refuses to make, and its part files."""

import json
import os
import stat

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from carousel.errors import OperatorError
from carousel.release.identity import Hardware
from settop.store.choice import Source
from settop.store.folder import REPORT_KEY_BYTES, BoxFolder, RolloutTrust
from tests.conftest import HARDWARE, KEY, OTHER_KEY, noise


@pytest.fixture
def keys(tmp_path):
    """Files of the two public keys: releases' and bulletins'."""
    paths = []
    for name, key in (("lab", KEY), ("desk", OTHER_KEY)):
        path = tmp_path / f"{name}.pem"
        path.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        paths.append(path)
    return paths


@pytest.fixture
def factory(make_release, release_file):
    return release_file(make_release(2_000, version="0.1.0"), "eeprom.release")


@pytest.fixture
def init(tmp_path, keys, factory):
    def make(trust=None, eeprom=factory, hardware=HARDWARE, box_id="", rollout=None):
        trust, rollout = trust or keys[:1], rollout or RolloutTrust()
        return BoxFolder.init(tmp_path / "some" / "box", hardware, trust, eeprom, box_id, rollout)

    return make


def contents(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_new_box_has_its_factory_image_and_boots_it(init):
    box = init()
    assert contents(box.path) == ["box.json", "eeprom.header", "eeprom.image", "state.bin", "trust/0-lab.pub"]
    assert json.loads((box.path / "box.json").read_text()) == {"hardware": "00A1B2:7"}
    assert (box.path / "eeprom.image").read_bytes() == noise(2_000)
    assert box.store.boot().source is Source.EEPROM
    assert (box.hardware, box.identity.box_id, box.identity.reports_to) == (HARDWARE, "", ())
    assert box.report_key() is None
    box.check_writable()


def test_a_box_of_a_roll_out_has_its_name_and_whom_it_obeys(init, keys, tmp_path):
    (tmp_path / "own.key").write_text(" " + "ab" * REPORT_KEY_BYTES + "\n")
    rollout = RolloutTrust((keys[1],), ("192.0.2.0/24", "[2001:db8::1]:77"), tmp_path / "own.key")
    box = BoxFolder(init(box_id="serial-1", rollout=rollout).path)
    assert box.identity.box_id == "serial-1"
    assert box.identity.reports_to == rollout.reports_to
    assert list(box.identity.bulletin_trust.keys) != list(box.trust.keys)
    assert len(box.identity.bulletin_trust.keys) == len(box.trust.keys) == 1
    assert contents(box.path / "trust-bulletin") == ["0-desk.pub"]
    assert box.report_key() == b"\xab" * REPORT_KEY_BYTES
    assert stat.S_IMODE((box.path / "report.key").stat().st_mode) == 0o600


def test_both_of_two_keys_are_trusted_though_their_files_have_one_name(init, keys, tmp_path):
    (tmp_path / "old").mkdir()
    keys[1].rename(tmp_path / "old" / "lab.pem")
    box = init(trust=[keys[0], tmp_path / "old" / "lab.pem"])
    assert contents(box.path / "trust") == ["0-lab.pub", "1-lab.pub"]
    assert len(box.trust.keys) == 2


def test_a_folder_that_is_there_and_empty_or_cut_off_becomes_a_store(init, tmp_path):
    (tmp_path / "some" / "box" / "trust").mkdir(parents=True)
    (tmp_path / "some" / "box" / "box.json.new").write_text("cut off")
    box = init()
    assert box.store.boot().source is Source.EEPROM
    assert "box.json.new" not in contents(box.path)


def test_a_store_is_never_made_over_another(init):
    path = init().path
    (path / "state.bin").write_bytes(b"what it has seen")
    with pytest.raises(OperatorError, match="is a box's store already"):
        init()
    assert (path / "state.bin").read_bytes() == b"what it has seen"


@pytest.mark.parametrize("kind", ["strange hardware", "strange key"])
def test_a_factory_image_of_others_makes_no_box(init, keys, tmp_path, kind):
    what = {"hardware": Hardware(0x00A1B2, 8)} if kind == "strange hardware" else {"trust": keys[1:]}
    said = "is made for hardware 00A1B2:7, this box is 00A1B2:8" if kind == "strange hardware" else "is signed by none"
    with pytest.raises(OperatorError, match=rf"eeprom\.release {said}"):
        init(**what)
    assert not (tmp_path / "some").exists()


def test_what_is_wrong_with_a_roll_out_is_said_before_anything_is_made(init, keys, tmp_path):
    short, odd = tmp_path / "short.key", tmp_path / "odd.key"
    short.write_text("ab" * (REPORT_KEY_BYTES - 1))
    odd.write_text("no hexadecimal digits")
    for rollout, box_id, said in (
        (RolloutTrust((keys[0],)), "x", "must not sign bulletins"),
        (RolloutTrust((keys[1], keys[0])), "x", "must not sign bulletins"),
        (RolloutTrust((keys[1],)), "", "name the box with --id"),
        (RolloutTrust(report_key=short), "x", "short.key is no key of a box"),
        (RolloutTrust(report_key=odd), "x", "odd.key is no key of a box"),
    ):
        with pytest.raises(OperatorError, match=said):
            init(rollout=rollout, box_id=box_id)
    assert not (tmp_path / "some").exists()


def test_a_box_finds_its_bulletins_in_its_folder(init):
    box = init()
    (box.path / f"{'ab' * 8}-0.bulletin").write_bytes(b"as it was heard")
    assert box.bulletins.packets([b"\xab" * 8]) == [b"as it was heard"]


def test_a_report_key_may_stand_in_a_file_of_a_kibibyte(init):
    box, key = init(), "ab" * REPORT_KEY_BYTES
    (box.path / "report.key").write_text(key.ljust(1024))
    assert box.report_key() == b"\xab" * REPORT_KEY_BYTES
    (box.path / "report.key").write_text(key.ljust(1025))
    assert box.report_key() is None


@pytest.mark.parametrize("content", ["", "zz", "ab" * 31, "ab" * 33, "ab" * 2000])
def test_a_damaged_report_key_is_none(init, content):
    box = init()
    (box.path / "report.key").write_text(content)
    assert box.report_key() is None


def test_a_read_only_store_is_said_early(init, monkeypatch):
    box = init()
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK or path != box.path)
    with pytest.raises(OperatorError, match="is read-only or not ours to write"):
        box.check_writable()


def test_the_lock_is_on_the_folder_and_goes_with_the_statement(init):
    box, pauses = init(), []
    with box.locked() as descriptor:
        assert os.fstat(descriptor).st_ino == box.path.stat().st_ino
        with pytest.raises(OperatorError, match="another settop command works on"), box.locked(0.0, pauses.append):
            pass
    assert pauses == [], "who does not wait does not sleep"
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(descriptor)
    with box.locked(), pytest.raises(OperatorError), box.locked(1.0, pauses.append):
        pass
    assert sum(pauses) == pytest.approx(1.0)


def test_a_lock_that_becomes_free_is_taken(init):
    box = init()
    first = box.locked()
    first.__enter__()
    with box.locked(10.0, lambda pause_s: first.__exit__(None, None, None)):
        pass


def test_old_part_files_go_the_newest_and_the_named_stay(init, make_release):
    box = init()
    header = make_release(2_000, version="0.1.0").header
    assert box.part_name(header) == f"{header.release_id}.part"
    for age, name in enumerate(("a.part", "b.part", "c.part", "d.part")):
        (box.path / name).touch()
        os.utime(box.path / name, (1_000_000 - age, 1_000_000 - age))

    def parts():
        return [name for name in contents(box.path) if name.endswith(".part")]

    assert box.remove_parts(keep=2, but=["c.part"]) == 1
    assert parts() == ["a.part", "b.part", "c.part"]
    assert box.remove_parts(keep=5) == 0
    assert box.remove_parts() == 3
    assert (parts(), (box.path / "state.bin").exists()) == ([], True)
