import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carousel.errors import FormatError
from carousel.ssu.sections import build_descriptor, build_section, each_descriptor, parse_section


@settings(deadline=None)
@given(
    st.sampled_from([0x00, 0x02, 0x3B, 0x40, 0x42]),
    st.integers(0, 0xFFFF),
    st.integers(0, 31),
    st.binary(max_size=1000),
)
def test_a_section_reads_as_it_was_built(table_id, extension, version, body):
    raw = build_section(table_id, extension, body, version, section=3, last_section=5)
    section = parse_section(raw)
    assert (section.table_id, section.extension, section.version) == (table_id, extension, version)
    assert (section.section, section.last_section, section.is_current, section.body) == (3, 5, True, body)


def test_too_long_a_section_is_our_own_mistake():
    build_section(0x3C, 0, bytes(4084))
    with pytest.raises(ValueError, match="4096"):
        build_section(0x3C, 0, bytes(4085))
    with pytest.raises(ValueError, match="1024"):
        build_section(0x02, 0, bytes(1013))


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(raw):
    try:
        parse_section(raw)
    except FormatError as error:
        assert error.reason in ("section_length", "section_syntax", "section_crc")


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=30)), max_size=6))
def test_descriptors_read_as_they_were_built(descriptors):
    loop = b"".join(build_descriptor(tag, body) for tag, body in descriptors)
    assert list(each_descriptor(loop)) == descriptors
    if loop:
        with pytest.raises(FormatError):
            list(each_descriptor(loop + b"\x05\x03\x00"))
