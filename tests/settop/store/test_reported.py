"""What was reported is remembered, and what is damaged is as if it had never been."""

import pytest

from carousel.release.identity import ReleaseId
from carousel.report import ReportKind
from settop.store.disk import FolderDisk
from settop.store.reported import MOST_RELEASES, NAME, Reported
from tests.settop.store.powercut import CutDisk

RELEASE = ReleaseId(b"r" * 16)


@pytest.fixture
def reported(tmp_path):
    return Reported(FolderDisk(tmp_path))


def test_both_kinds_of_a_release(reported):
    assert reported.said(RELEASE) == frozenset()
    reported.note(RELEASE, ReportKind.STARTING)
    reported.note(RELEASE, ReportKind.STARTING)
    assert reported.said(RELEASE) == {ReportKind.STARTING}
    reported.note(RELEASE, ReportKind.CONFIRMED)
    assert reported.said(RELEASE) == {ReportKind.STARTING, ReportKind.CONFIRMED}


def test_the_oldest_is_forgotten(reported):
    for number in range(MOST_RELEASES + 1):
        reported.note(ReleaseId(number.to_bytes(16, "big")), ReportKind.STARTING)
    assert reported.said(ReleaseId(bytes(16))) == frozenset()
    assert reported.said(ReleaseId(MOST_RELEASES.to_bytes(16, "big")))


@pytest.mark.parametrize("content", ["", "[]", "{", '{"x": [9]}', '{"x": 1}', "[" * 100_000])
def test_a_damaged_file_says_nothing(reported, tmp_path, content):
    (tmp_path / NAME).write_text(content)
    assert reported.said(RELEASE) == frozenset()
    reported.note(RELEASE, ReportKind.STARTING)
    assert reported.said(RELEASE) == {ReportKind.STARTING}


def test_it_is_on_the_medium_before_anything_is_sent_and_the_other_releases_stay():
    disk, other = CutDisk(), ReleaseId(b"o" * 16)
    disk.write(NAME + ".new", 0, b"of an earlier try, and longer" * 100)
    Reported(disk).note(other, ReportKind.CONFIRMED)
    Reported(disk).note(RELEASE, ReportKind.STARTING)
    disk._lose_power()
    assert disk.names() == [NAME]
    assert Reported(disk).said(RELEASE) == {ReportKind.STARTING}
    assert Reported(disk).said(other) == {ReportKind.CONFIRMED}


def test_who_reports_again_is_young_again(reported):
    names = [ReleaseId(number.to_bytes(16, "big")) for number in range(MOST_RELEASES + 1)]
    for release in (*names[:-1], names[0], names[-1]):
        reported.note(release, ReportKind.STARTING)
    assert [bool(reported.said(release)) for release in names[:3]] == [True, False, True]
