"""One damaged file of a box's identity keeps no box from booting."""

import json
import os
import signal

import pytest

from carousel.console.files import load_public_key
from carousel.errors import OperatorError
from carousel.release.identity import Hardware
from settop.store.choice import Source
from settop.store.folder import BoxFolder
from tests.conftest import HARDWARE, KEY

SM2 = b"""-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoEcz1UBgi0DQgAEWGAXSpap29CZPuU5eMrUUEXEH3kk
6S4F5Fvlna2iHVY4JJJCVy0OXZSZtVKSiGO5r0gVh4vBnJl5Jfl1kCkX4Q==
-----END PUBLIC KEY-----
"""


@pytest.fixture
def store(tmp_path, make_release, release_file, public_key):
    eeprom = release_file(make_release(2_000, version="0.1.0"), "eeprom.release")
    BoxFolder.init(tmp_path / "box", HARDWARE, [public_key], eeprom)
    signal.alarm(30)
    yield tmp_path / "box"
    signal.alarm(0)


@pytest.fixture
def public_key(tmp_path):
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    path = tmp_path / "lab.pub"
    path.write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path


def boots(store):
    box = BoxFolder(store)
    assert box.store.boot().source is Source.EEPROM
    return box.identity


def test_a_good_box_has_no_trouble(store):
    identity = boots(store)
    assert (identity.hardware, identity.troubles, identity.is_guess) == (HARDWARE, (), False)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"7",
        b'{"hardware": 7}',
        b'{"hardware": "x"}',
        b"[" * 50_000,
        b"x" * 100_000,
        b'{"hardware": "00A1B2:7", "id": "\\ud800"}',
    ],
    ids=["empty", "cut", "no text", "list", "number", "no string", "no hardware", "deep", "large", "half a letter"],
)
def test_a_damaged_box_json_boots_by_what_the_eeprom_says_and_receives_nothing(store, content):
    (store / "box.json").write_bytes(content)
    identity = boots(store)
    assert identity.hardware == Hardware(HARDWARE.oui, HARDWARE.model)
    assert "box.json is damaged" in identity.troubles[0]
    with pytest.raises(OperatorError, match=r"box\.json is damaged"):
        BoxFolder(store).check_writable()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink(path, path)])
@pytest.mark.parametrize("name", ["box.json", "trust/1-odd.pub"])
def test_what_is_no_file_in_a_file_s_place_is_passed_over(store, make, name):
    (store / name).unlink(missing_ok=True)
    make(store / name)
    (trouble,) = boots(store).troubles
    assert name in trouble


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", SM2, b"-----BEGIN PUBLIC KEY-----\nAAAA\n"])
def test_a_key_that_is_none_is_passed_over_and_the_others_hold(store, content):
    path = store / "trust" / "9-bad.pub"
    path.write_bytes(content)
    with pytest.raises(OperatorError) as reason:
        load_public_key(path)
    assert boots(store).troubles == (f"{path} is passed over: {reason.value}",)


def test_without_anything_that_says_what_it_is_there_is_no_box(store):
    (store / "box.json").write_text("{")
    (store / "eeprom.header").unlink()
    with pytest.raises(OperatorError, match=r"box\.json is damaged"):
        BoxFolder(store)
    with pytest.raises(OperatorError, match="no store of a box"):
        BoxFolder(store / "nothing")


def test_a_lock_that_is_held_is_waited_for_so_long(store):
    pauses = []
    second = BoxFolder(store).locked(0.5, pauses.append)
    with BoxFolder(store).locked(), pytest.raises(OperatorError, match="another settop command"), second:
        pass
    assert len(pauses) == 5
    with BoxFolder(store).locked():
        json.loads((store / "box.json").read_text())


def test_what_a_box_is_called_and_where_it_may_report_is_read(store):
    said = {"hardware": "00A1B2:7", "id": 12, "reports_to": ["192.0.2.1", 7]}
    (store / "box.json").write_text(json.dumps(said))
    identity = boots(store)
    assert (identity.box_id, identity.reports_to) == ("12", ("192.0.2.1", "7"))
    (store / "box.json").write_text('{"hardware": "00A1B2:7"}')
    assert (boots(store).box_id, boots(store).reports_to) == ("", ())


def test_keys_for_bulletins_are_read_apart_and_their_troubles_told(store):
    (store / "trust-bulletin").mkdir()
    (store / "trust-bulletin" / "1-desk.pub").write_bytes((store / "trust" / "0-lab.pub").read_bytes())
    (store / "trust-bulletin" / "2-odd.pub").write_bytes(b"none")
    (store / "trust" / "3-odd.pub").mkdir()
    (store / "trust" / "notes.txt").write_text("no key, and none of ours")
    identity = boots(store)
    assert list(identity.bulletin_trust.keys) == list(identity.trust.keys)
    trouble, bulletin_trouble = identity.troubles
    assert trouble == f"{store}/trust/3-odd.pub is passed over: Is a directory"
    assert bulletin_trouble.startswith(f"{store}/trust-bulletin/2-odd.pub is passed over: ")
    (store / "box.json").write_text("{")
    guess = boots(store)
    assert guess.is_guess
    assert guess.troubles[1:] == identity.troubles
    assert list(guess.bulletin_trust.keys) == list(identity.bulletin_trust.keys)
    assert "the box takes itself for 00A1B2:7, as its EEPROM image says" in guess.troubles[0]


def test_nobody_guesses_from_an_eeprom_header_by_a_stranger(store):
    (store / "box.json").write_text("{")
    (store / "trust" / "0-lab.pub").unlink()
    with pytest.raises(OperatorError, match=r"box\.json is damaged"):
        BoxFolder(store)
