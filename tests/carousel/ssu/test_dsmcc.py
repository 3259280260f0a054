import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carousel.errors import FormatError
from carousel.ssu.dsmcc import (
    CompatibilityKind,
    Device,
    Group,
    MessageId,
    Module,
    ddb,
    dii,
    dsi,
    module_descriptors,
    parse_dii,
    parse_dsi,
    parse_message,
    read_blocks,
)
from carousel.ssu.sections import Section, parse_section

DEVICES = (Device(CompatibilityKind.HARDWARE, 0x00A1B2, 7, 3), Device(CompatibilityKind.SOFTWARE, 0x00A1B2, 7, 0x1100))


@settings(deadline=None)
@given(st.integers(0x80000000, 0xBFFFFFFF), st.integers(0, 2**32 - 1), st.binary(max_size=300))
def test_a_dsi_reads_as_it_was_built(group_id, size, private):
    group = Group(group_id, size, DEVICES, private)
    section = parse_section(dsi(0x80000000, group))
    kind, transaction, message = parse_message(section)
    assert (section.table_id, section.extension, kind, transaction) == (0x3B, 0, MessageId.DSI, 0x80000000)
    assert parse_dsi(message) == [group]


def test_the_bytes_of_a_compatibility_descriptor():
    raw = dsi(0x80000000, Group(0x80000102, 1000, DEVICES))
    assert "00 18 00 02 01 09 01 00 a1 b2 00 07 00 03 00 02 09 01 00 a1 b2 00 07 11 00 00" in raw.hex(" ")


@settings(deadline=None)
@given(st.lists(st.builds(Module, st.integers(0, 0xFFFF), st.integers(0, 2**32 - 1), st.integers(0, 255)), max_size=50))
def test_a_dii_reads_as_it_was_built(modules):
    kind, transaction, message = parse_message(parse_section(dii(0x80010002, 1256, modules)))
    info = parse_dii(transaction, message)
    assert (kind, info.download_id, info.block_size) == (MessageId.DII, 0x80010002, 1256)
    assert info.modules == tuple(modules)


def test_module_descriptors():
    assert module_descriptors(0x01020304).hex(" ") == "05 04 01 02 03 04"
    assert module_descriptors(0, (2, 0x1234)).hex(" ") == "05 04 00 00 00 00 04 03 02 12 34"


@settings(deadline=None)
@given(st.integers(1, 30), st.integers(0, 0xFFFF), st.integers(0, 255), st.integers(0, 300), st.integers(1, 4066))
def test_blocks_read_as_they_were_built(count, module, version, first, size):
    sections = [ddb(0x80010002, module, version, first + at, first + count, bytes([at]) * size) for at in range(count)]
    rows = np.frombuffer(b"".join(sections), dtype=np.uint8).reshape(count, -1)
    blocks = read_blocks(rows)
    assert blocks.download_id.tolist() == [0x80010002] * count
    assert blocks.module.tolist() == [module] * count
    assert blocks.block.tolist() == list(range(first, first + count))
    assert blocks.data.shape == (count, size)
    assert blocks.data[:, 0].tolist() == list(range(count))
    one = parse_section(sections[-1])
    assert (one.extension, one.version, one.section, one.last_section) == (
        module,
        version % 32,
        (first + count - 1) % 256,
        (first + count - 1) % 256,
    )


@settings(deadline=None)
@given(st.sampled_from([0, 3, 4, 6, 8, 9, 10, 11, 17, 18, 19, 20, 21, 25]), st.integers(1, 255))
def test_what_contradicts_itself_is_left_out(at, difference):
    """Each of these bytes in front of the data is fixed, or is said twice."""
    row = np.frombuffer(ddb(0x80010002, 0x0203, 0, 4, 9, bytes(100)), dtype=np.uint8).copy()
    row[at] ^= difference
    assert len(read_blocks(row[None]).block) == 0


@pytest.mark.parametrize("parse", [parse_dsi, lambda raw: parse_dii(0, raw)])
@settings(deadline=None)
@given(raw=st.binary(max_size=200))
def test_any_message_is_read_or_refused(parse, raw):
    try:
        parse(raw)
    except FormatError as error:
        assert error.reason in ("dsi", "dii", "compatibility")


@settings(deadline=None)
@given(st.binary(max_size=40))
def test_any_section_has_a_message_or_none(body):
    try:
        parse_message(Section(0x3B, 0, 0, True, 0, 0, body))
    except FormatError as error:
        assert error.reason == "dsmcc_message"
