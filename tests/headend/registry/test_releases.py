"""What is uploaded is proven: whole, undamaged, signed by a key that is trusted here."""

import errno

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from carousel.errors import OperatorError
from headend.registry.releases import DiskFullError, ReleaseFolder, TooLargeError
from tests.conftest import KEY, OTHER_KEY


def trust(folder, key, name="lab"):
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "trust" / f"{name}.pub").write_bytes(pem)


@pytest.fixture
def folder(tmp_path):
    made = ReleaseFolder(tmp_path, 10_000_000)
    trust(tmp_path, KEY)
    return made


def take_in(folder, raw, piece=50_000):
    with folder.begin(len(raw)) as upload:
        for start in range(0, len(raw), piece):
            upload.write(raw[start : start + piece])
        record = upload.prove("me", 1e9)
        upload.keep(record)
        return record


def left_over(tmp_path):
    return list((tmp_path / "uploads").iterdir())


def test_a_good_release_is_kept_under_its_id(folder, make_release, tmp_path):
    release = make_release(100_000, symbol_size=512)
    record = take_in(folder, bytes(release.buffer))
    assert record.id == str(release.header.release_id)
    assert folder.path(record.id).read_bytes() == bytes(release.buffer)
    assert (record.image_bytes, record.file_bytes) == (100_000, len(release.buffer))
    assert not left_over(tmp_path)


@pytest.mark.parametrize("cut", [0, 100, 5000, -1])
def test_a_truncated_release_is_refused(folder, make_release, tmp_path, cut):
    raw = bytes(make_release(100_000, symbol_size=512).buffer)[:cut]
    with pytest.raises(OperatorError, match="what was uploaded is no whole release file"):
        take_in(folder, raw)
    assert not left_over(tmp_path)


def test_a_foreign_file_is_refused(folder):
    with pytest.raises(OperatorError, match="is no whole release file: it begins as none does; `headend pack` makes"):
        take_in(folder, b"\x7fELF" * 5000)


def test_a_release_of_an_unknown_key_is_refused(folder, make_release, tmp_path):
    with pytest.raises(OperatorError, match="this server does not trust"):
        take_in(folder, bytes(make_release(100_000, key=OTHER_KEY, symbol_size=512).buffer))
    assert not left_over(tmp_path)


def test_a_key_that_is_taken_away_is_trusted_no_more(folder, make_release, tmp_path):
    record = take_in(folder, bytes(make_release(100_000, symbol_size=512).buffer))
    folder.check_signature(bytes.fromhex(record.header))
    (tmp_path / "trust" / "lab.pub").unlink()
    (tmp_path / "trust" / "bad.pub").write_text("no key")
    with pytest.raises(OperatorError, match="does not trust"):
        folder.check_signature(bytes.fromhex(record.header))


def test_a_damaged_image_is_refused(folder, make_release):
    raw = bytearray(make_release(100_000, symbol_size=512).buffer)
    raw[4096 + 200] ^= 1
    with pytest.raises(OperatorError, match="is damaged"):
        take_in(folder, bytes(raw))


def test_a_forged_signature_is_refused(folder, make_release):
    from carousel.crc import crc32
    from carousel.flute.releasefile import Preamble

    raw = bytearray(make_release(100_000, symbol_size=512).buffer)
    header_at = raw.index(b"BCIH")
    raw[header_at + 250] ^= 1
    end = Preamble.sizeof() - 4
    raw[end : end + 4] = crc32(bytes(raw[:end])).to_bytes(4, "little")
    with pytest.raises(OperatorError, match="forged or damaged"):
        take_in(folder, bytes(raw))


def test_too_much_is_refused_before_and_while_it_comes(tmp_path):
    folder = ReleaseFolder(tmp_path, 1000)
    with pytest.raises(TooLargeError, match="1,000 bytes"):
        folder.begin(1001)
    with folder.begin(None) as upload:
        upload.write(b"x" * 600)
        with pytest.raises(TooLargeError):
            upload.write(b"x" * 600)
    assert not left_over(tmp_path)


def test_a_full_disk_is_said_and_leaves_nothing(folder, tmp_path):
    class FullFile:
        def write(self, _):
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self):
            raise OSError(errno.ENOSPC, "No space left on device")

    with folder.begin(None) as upload:
        upload._file.close()
        upload._file = FullFile()
        with pytest.raises(DiskFullError, match="make room"):
            upload.write(b"x")
    assert not left_over(tmp_path)


def test_what_a_kill_left_is_swept(tmp_path):
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "77-1").write_bytes(b"half")
    ReleaseFolder(tmp_path, 1000)
    assert not left_over(tmp_path)
