import hashlib
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carousel.crc import crc32
from carousel.errors import FormatError
from carousel.printable import printable
from carousel.release.header import HEADER_BYTES, ReleaseHeader, SignedHeader, claimed_key_id, key_id
from carousel.release.identity import Hardware, ReleaseId, Version
from carousel.release.trust import TrustRing, parse_public_key
from tests.conftest import KEY, OTHER_KEY

u16, u32, u64 = st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
headers = st.builds(
    ReleaseHeader,
    hardware=st.builds(Hardware, st.integers(0, 2**24 - 1), u16, u16),
    security_counter=u32,
    version=st.builds(Version, u16, u16, u32),
    created_unix_s=u64,
    image_size=u64,
    symbol_size=u16,
    source_blocks=u16,
    repair_per_block=u32,
    image_sha256=st.binary(min_size=32, max_size=32),
    top_sha256=st.binary(min_size=32, max_size=32),
    name=st.text(max_size=8).filter(lambda name: "\0" not in name),
)
EXAMPLE = ReleaseHeader(Hardware(1, 2), 3, Version(1, 2, 3), 4, 5000, 256, 1, 6, b"i" * 32, b"t" * 32, "demo")


@given(headers)
def test_what_is_signed_is_read(header):
    signed = header.sign(KEY)
    assert len(signed.raw) == HEADER_BYTES
    again = SignedHeader.parse(signed.raw)
    assert again == signed
    assert again.is_signed_by(KEY.public_key())
    assert not again.is_signed_by(OTHER_KEY.public_key())
    assert again.key_id == key_id(KEY.public_key())
    said = header.fields()
    assert {name: getattr(again, name) for name in said} == said | {"name": printable(header.name)}


def test_each_field_is_read_where_it_was_written():
    again = SignedHeader.parse(EXAMPLE.sign(KEY).raw)
    assert {name: getattr(again, name) for name in EXAMPLE.fields()} == EXAMPLE.fields()


def test_offsets_are_the_designs():
    raw = EXAMPLE.sign(KEY).raw
    assert raw[:8] == b"BCIH\x01\x00\x00\x01"
    assert raw[12:20] == b"\x01\0\0\0\x02\0\xff\xff"
    assert raw[20:32] == b"\x03\0\0\0" + b"\x01\0\x02\0\x03\0\0\0"
    assert raw[32:56] == b"\x04".ljust(8, b"\0") + (5000).to_bytes(8, "little") + b"\0\x01\x01\0\x06\0\0\0"
    assert raw[56:120] == b"i" * 32 + b"t" * 32
    assert raw[120:128] == key_id(KEY.public_key())
    assert raw[128:188] == b"demo".ljust(60, b"\0")


def test_a_key_has_its_id_with_an_older_cryptography_too():
    older = SimpleNamespace(public_bytes=KEY.public_key().public_bytes)
    assert key_id(older) == key_id(KEY.public_key())


@given(st.integers(0, HEADER_BYTES * 8 - 1))
def test_any_flipped_bit_is_found(bit):
    raw = bytearray(EXAMPLE.sign(KEY).raw)
    raw[bit // 8] ^= 1 << bit % 8
    try:
        header = SignedHeader.parse(bytes(raw))
    except FormatError:
        return
    assert not TrustRing.of([KEY.public_key()]).believes(header)


@given(st.binary(max_size=300))
def test_only_format_errors_escape(raw):
    with pytest.raises(FormatError):
        SignedHeader.parse(raw)


def test_a_release_is_named_by_its_signed_header():
    signed = EXAMPLE.sign(KEY)
    assert signed.release_id == ReleaseId.of(signed.raw)
    assert signed.release_id != EXAMPLE.sign(OTHER_KEY).release_id
    assert str(signed.release_id) == hashlib.sha256(signed.raw).hexdigest()[:32]
    with pytest.raises(ValueError, match="release ID"):
        ReleaseId(b"short")


def test_a_name_of_all_its_bytes_fits_and_one_that_is_no_utf_8_is_shown():
    assert ReleaseHeader(**{**vars(EXAMPLE), "name": "x" * 32}).sign(KEY).name == "x" * 32
    raw = bytearray(EXAMPLE.sign(KEY).raw)
    raw[128:132] = b"Xd\xffX"
    raw[188:192] = crc32(bytes(raw[:188])).to_bytes(4, "little")
    assert SignedHeader.parse(bytes(raw)).name == r"Xd\xffX"


def test_a_maker_has_24_bits():
    raw = bytearray(EXAMPLE.sign(KEY).raw)
    raw[15] = 1
    raw[188:192] = crc32(bytes(raw[:188])).to_bytes(4, "little")
    with pytest.raises(FormatError) as caught:
        SignedHeader.parse(bytes(raw))
    assert caught.value.reason == "header_fields"


@pytest.mark.parametrize(
    ("at", "reason"), [(None, "header_size"), (0, "header_fields"), (60, "header_crc"), (190, "header_crc")]
)
def test_a_look_finds_the_key_id_and_what_is_no_header(at, reason):
    raw = bytearray(EXAMPLE.sign(KEY).raw)
    assert claimed_key_id(bytes(raw)) == key_id(KEY.public_key())
    if at is None:
        raw += b"\0"
    else:
        raw[at] ^= 1
    for read in (claimed_key_id, SignedHeader.parse):
        with pytest.raises(FormatError) as caught:
            read(bytes(raw))
        assert caught.value.reason == reason


def test_a_name_too_long_is_refused():
    long = ReleaseHeader(**{**vars(EXAMPLE), "name": "x" * 33})
    with pytest.raises(ValueError, match="longer than 32"):
        long.sign(KEY)


def test_trust_needs_a_known_key():
    signed = EXAMPLE.sign(OTHER_KEY)
    ring = TrustRing.of([KEY.public_key()])
    assert not ring.knows(signed)
    assert not ring.believes(signed)
    assert TrustRing.of([KEY.public_key(), OTHER_KEY.public_key()]).believes(signed)


def test_other_things_are_no_public_keys():
    with pytest.raises(FormatError, match="public_key"):
        parse_public_key(b"no key")


def test_a_signed_name_moves_no_cursor_and_begins_no_line():
    signed = ReleaseHeader(**{**vars(EXAMPLE), "name": "a\x1b[2J\n"}).sign(KEY)
    assert signed.name == r"a\x1b[2J\n"
    assert b"a\x1b[2J\n" in signed.raw
