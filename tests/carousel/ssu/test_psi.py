import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carousel.errors import FormatError
from carousel.ssu.psi import (
    Program,
    Stream,
    UpdateType,
    nit,
    parse_nit_ouis,
    parse_pat,
    parse_pmt,
    parse_sdt_names,
    pat,
    pmt,
    sdt,
)
from carousel.ssu.sections import Section, parse_section

STREAMS = st.lists(
    st.builds(
        Stream,
        pid=st.integers(0x20, 0x1FFE),
        component_tag=st.integers(0, 255),
        oui=st.integers(0, 0xFFFFFF),
        update_type=st.sampled_from(UpdateType),
        update_version=st.integers(0, 31),
        selector=st.binary(max_size=4),
    ),
    max_size=20,
)
PROGRAM = Program(service_id=7, ts_id=8, network_id=9, pmt_pid=0x123)


def test_the_pat_leads_to_the_pmt():
    section = parse_section(pat(PROGRAM, version=3))
    assert (section.table_id, section.extension, section.version) == (0, 8, 3)
    assert parse_pat(section) == {7: 0x123}


@settings(deadline=None)
@given(STREAMS)
def test_the_pmt_lists_all_streams(streams):
    section = parse_section(pmt(PROGRAM, streams, version=4))
    assert (section.table_id, section.extension, section.version) == (2, 7, 4)
    assert parse_pmt(section) == streams


def test_the_bytes_of_an_update_descriptor():
    """As TS 102 006 7.1 lays them out: stream_identifier, then data_broadcast_id 0x000A with one OUI."""
    raw = pmt(PROGRAM, [Stream(0x101, 0x42, 0x00A1B2, UpdateType.STANDARD, 5, b"\x77")], version=0)
    stream = raw[12:-4]
    assert stream.hex(" ") == "0b e1 01 f0 0f 52 01 42 66 0a 00 0a 07 00 a1 b2 f1 e5 01 77"


@settings(deadline=None)
@given(st.lists(st.integers(0, 0xFFFFFF), max_size=20))
def test_the_nit_names_the_makers(ouis):
    section = parse_section(nit(PROGRAM, ouis, version=1))
    assert (section.table_id, section.extension) == (0x40, 9)
    assert parse_nit_ouis(section) == ouis


def test_the_sdt_names_the_service():
    section = parse_section(sdt(PROGRAM))
    assert (section.table_id, section.extension) == (0x42, 8)
    assert parse_sdt_names(section) == {7: "System software update"}


@pytest.mark.parametrize("parse", [parse_pat, parse_pmt, parse_nit_ouis, parse_sdt_names])
@settings(deadline=None)
@given(body=st.binary(max_size=120))
def test_any_body_is_read_or_refused(parse, body):
    try:
        parse(Section(0, 0, 0, True, 0, 0, body))
    except FormatError as error:
        assert error.reason in ("pmt", "nit", "sdt", "descriptor")
