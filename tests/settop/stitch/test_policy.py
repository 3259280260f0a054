import pytest

from carousel.release.identity import Hardware, Version
from settop.stitch.policy import BoxProfile, judge
from tests.conftest import HARDWARE, KEY, unsigned
from tests.settop.store.test_slots import RING, header_of

DIGEST = header_of("2.0.0").image_sha256[:8]


@pytest.mark.parametrize(
    ("header", "box", "words"),
    [
        ({}, {}, None),
        ({"hardware": Hardware(1, 1)}, {}, "made for hardware"),
        ({"counter": 4}, {"floor": 5}, "below this box's floor 5"),
        ({"counter": 5}, {"floor": 5}, None),
        ({}, {"held": ((b"x" * 8, Version(2, 0, 0)),)}, "not newer than 2.0.0"),
        ({}, {"held": ((b"x" * 8, Version(1, 9, 9)),)}, None),
        ({}, {"held": ((b"x" * 8, Version(3, 0, 0)),), "allows_older": True}, None),
        ({"counter": 4}, {"floor": 5, "allows_older": True}, "below this box's floor 5"),
        ({}, {"failed": frozenset([DIGEST])}, "never confirmed"),
    ],
)
def test_each_reason(header, box, words):
    verdict = judge(header_of("2.0.0", **header), BoxProfile(HARDWARE, RING, **box))
    assert verdict.refusal is None if words is None else words in verdict.refusal
    assert not verdict.is_up_to_date


def test_a_release_that_no_box_can_lay_out_is_refused_though_it_is_signed():
    header = unsigned(header_of("2.0.0"), symbol_size=248).sign(KEY)
    assert "geometry" in judge(header, BoxProfile(HARDWARE, RING)).refusal


def test_the_image_that_is_held_is_up_to_date():
    verdict = judge(header_of("2.0.0"), BoxProfile(HARDWARE, RING, held=((DIGEST, Version(2, 0, 0)),)))
    assert verdict.is_up_to_date
    assert verdict.refusal is not None, "nothing is installed"
