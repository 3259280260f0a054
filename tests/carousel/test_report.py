"""Reports as bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carousel.errors import FormatError
from carousel.release.identity import ReleaseId
from carousel.report import MAX_BOX_ID_BYTES, REPORT_BYTES, Report, ReportFormat, ReportKind, box_key

SECRET = bytes(range(32))
ids = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=16)


@given(st.sampled_from(ReportKind), st.binary(min_size=16, max_size=16), ids)
def test_a_report_comes_back_and_is_its_boxs(kind, release, box_id):
    raw = Report(kind, ReleaseId(release), box_id).build(box_key(SECRET, box_id))
    assert len(raw) == REPORT_BYTES
    found = Report.parse(raw)
    assert (found.kind, found.release, found.box_id) == (kind, ReleaseId(release), box_id)
    assert found.is_by(SECRET)
    assert not found.is_by(bytes(32))
    assert ReportFormat.as_construct.parse(raw).kind == kind


@given(st.integers(0, REPORT_BYTES - 1), st.integers(1, 255))
def test_a_changed_byte_is_told(at, change):
    raw = bytearray(Report(ReportKind.STARTING, ReleaseId(bytes(16)), "box").build(box_key(SECRET, "box")))
    raw[at] ^= change
    try:
        assert not Report.parse(bytes(raw)).is_by(SECRET)
    except FormatError:
        return


@given(st.binary(max_size=200))
def test_noise_is_no_report(noise):
    with pytest.raises(FormatError):
        Report.parse(noise)


def test_an_id_that_will_not_fit_is_our_own_mistake():
    with pytest.raises(ValueError, match="box_id has 65 bytes"):
        Report(ReportKind.STARTING, ReleaseId(bytes(16)), "x" * (MAX_BOX_ID_BYTES + 1)).build(None)
