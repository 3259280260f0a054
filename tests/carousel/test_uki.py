"""The PE file that every backend boots or takes apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carousel.errors import FormatError
from carousel.uki import build_uki, parse_pe, parse_uki
from tests.settop.boot.models import STUB

UKI = build_uki(STUB, b"kernel" * 100, b"initrd" * 50, "console=ttyAMA0 quiet", "ID=x\n")


def test_sections_lie_where_the_headers_say():
    pe = parse_pe(memoryview(UKI))
    assert [section.name for section in pe.sections] == [".text", ".osrel", ".cmdline", ".linux", ".initrd"]
    ends = [section.address + section.size_bytes for section in pe.sections]
    assert all(section.address >= end for section, end in zip(pe.sections[1:], ends, strict=False))
    assert all(section.address % pe.section_alignment == 0 for section in pe.sections)
    assert all(section.file_offset % pe.file_alignment == 0 for section in pe.sections)
    assert pe.image_bytes >= ends[-1]
    assert len(UKI) % pe.file_alignment == 0


@pytest.mark.parametrize("size", [0, 1, 63, 64, 100, 400, 1023, 1600, len(UKI) - 512])
def test_a_truncated_image_is_refused(size):
    with pytest.raises(FormatError):
        parse_uki(memoryview(UKI[:size]))


def test_a_pe_file_without_a_kernel_is_no_uki():
    with pytest.raises(FormatError, match="no_uki"):
        parse_uki(memoryview(STUB))


@given(st.binary(max_size=2000))
def test_any_bytes_are_refused_or_read(raw):
    for image in (raw, b"MZ" + raw, UKI[:100] + raw, UKI[:64] + raw + UKI[64 + len(raw) :]):
        try:
            uki = parse_uki(memoryview(image))
        except FormatError:
            continue
        assert len(uki.linux) <= len(image)


def test_a_section_count_beyond_the_file_is_refused():
    image = bytearray(UKI)
    image[64 + 6 : 64 + 8] = (0xFFFF).to_bytes(2, "little")
    with pytest.raises(FormatError, match="pe_sections"):
        parse_pe(memoryview(image))
