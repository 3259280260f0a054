import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carousel.errors import OperatorError
from carousel.release.identity import Hardware
from carousel.release.layout import ReleaseLayout
from carousel.ssu.modules import FEW_MODULES, SsuModules
from headend.pack.ssuplan import SsuProfile, advice, plan_ssu


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 240_000_000), st.sampled_from([0.0, 0.3, 1.0]), st.sampled_from(SsuProfile))
def test_what_is_planned_fits(size, repair, profile):
    if profile is SsuProfile.FEW_MODULES:
        size = size % 8_224_768 + 1
    image = plan_ssu(size, repair, profile)
    assert image.transfer_length == size
    modules = SsuModules(ReleaseLayout.of_image(image))
    assert modules.problem() is None
    if profile is SsuProfile.FEW_MODULES:
        assert len(modules.main) <= FEW_MODULES


def test_source_blocks_are_as_large_as_modules_allow():
    """The unluckiest of few large blocks needs less repair than that of many small ones."""
    assert plan_ssu(64_000_000, 1.0, SsuProfile.STANDARD).largest_block > 2000
    assert plan_ssu(2_500_000, 1.0, SsuProfile.FEW_MODULES).blocks == 1
    assert plan_ssu(75_000_000, 1.0, SsuProfile.STANDARD).symbol_size == 1256, (
        "rather smaller blocks than larger symbols"
    )


def test_a_block_is_a_datagram_as_long_as_the_modules_suffice():
    assert plan_ssu(75_000_000, 1.0, SsuProfile.STANDARD).symbol_size == 1256
    assert plan_ssu(76_000_000, 1.0, SsuProfile.STANDARD).symbol_size == 3832
    sizes = [plan_ssu(size, 1.0, SsuProfile.FEW_MODULES).symbol_size for size in (2_500_000, 7_800_000, 8_200_000)]
    assert sizes == [1256, 3832, 4016]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "repair", "profile", "words"),
    [
        (245_000_000, 1.0, SsuProfile.STANDARD, "240343040 bytes.*--repair 0 leaves room for 251133952.*by FLUTE"),
        (300_000_000, 1.0, SsuProfile.STANDARD, "which hold 240343040 bytes with --repair 1.0: compress"),
        (9_000_000, 1.0, SsuProfile.FEW_MODULES, "8 modules, which hold 8224768 bytes.*--profile standard"),
        (200_000_000, 2.0, SsuProfile.STANDARD, "bytes with --repair 2.0; --repair 0 leaves room for 251133952"),
    ],
)
def test_what_does_not_fit_is_refused_and_what_would_is_said(size, repair, profile, words):
    with pytest.raises(OperatorError, match=words):
        plan_ssu(size, repair, profile)


@pytest.mark.parametrize(
    ("size", "fields", "words"),
    [
        (2_700_000, {"hardware": Hardware(1, 2, 3)}, ["room for 8.*few-modules would do"]),
        (100_000, {"hardware": Hardware(1, 2)}, ["--hardware OUI:model:version"]),
        (100_000, {"hardware": Hardware(1, 2, 3), "version": "1.64.0"}, ["16 bits"]),
        (100_000, {"hardware": Hardware(1, 2, 3)}, []),
        (100_000, {"hardware": Hardware(1, 2, 3), "repair_ratio": 0.0}, []),
    ],
)
def test_advice_says_what_other_boxes_may_not_like(make_release, size, fields, words):
    release = make_release(size, ssu_profile=SsuProfile.STANDARD, **fields)
    said = advice(release.header, 1.0)
    assert len(said) == len(words)
    for text, expected in zip(said, words, strict=True):
        assert re.search(expected, text)


def test_large_blocks_get_a_word_of_warning(make_release):
    release = make_release(3_000_000, ssu_profile=SsuProfile.FEW_MODULES, hardware=Hardware(1, 2, 3))
    assert any("several datagrams" in text for text in advice(release.header, 1.0))


@pytest.mark.parametrize("size", [1_000_000, 8_000_000, 64_000_000, 75_000_000])
def test_at_a_fifth_lost_an_image_takes_less_than_1_45_times_its_bytes(size):
    """What the unluckiest block needs, by drawing it; 7 packets of 188 bytes a symbol; 3 % of tables and digests."""
    image = plan_ssu(size, 1.0, SsuProfile.STANDARD)
    rng = np.random.default_rng(size)
    needed = image.block_sizes + rng.negative_binomial(image.block_sizes, 0.8, (500, image.blocks))
    cycles = (needed / image.block_sizes).max(axis=1)
    assert np.quantile(cycles, 0.9) * 7 * 188 / image.symbol_size * 1.03 < 1.45
