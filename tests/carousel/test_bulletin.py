"""Bulletins as bytes: what comes back, what is refused and how early, and who is in a cohort."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carousel.bulletin import (
    ALL,
    MAX_BULLETIN_BYTES,
    MAX_PARTS,
    MAX_STAGES,
    WHY_BYTES,
    Bulletin,
    Draw,
    HeadFormat,
    ReportTo,
    Stage,
    StageFormat,
    claim_of,
    is_signed_by,
    threshold_of,
)
from carousel.errors import FormatError
from carousel.gate import GateState, GateView
from carousel.release.header import key_id
from carousel.release.identity import ReleaseId
from tests.conftest import KEY, OTHER_KEY

u32, u64 = st.integers(0, ALL), st.integers(0, 2**64 - 1)
report_tos = st.builds(ReportTo, st.ip_addresses(), st.integers(1, 65535), u32, st.integers(0, 65535))
words = st.text("abcdefg hijk", max_size=WHY_BYTES).map(str.strip)
stages = st.builds(
    Stage,
    st.binary(min_size=16, max_size=16).map(ReleaseId),
    u32,
    st.binary(min_size=8, max_size=8),
    st.booleans(),
    words,
    st.none() | report_tos,
)
gates = st.builds(
    GateView,
    st.sampled_from(GateState),
    st.binary(min_size=16, max_size=16),
    u32,
    u32,
    st.binary(min_size=32, max_size=32),
)
bulletins = st.builds(
    Bulletin, u64, u64, st.lists(stages, max_size=MAX_STAGES).map(tuple), gates, st.just(1), st.integers(2, MAX_PARTS)
)


@pytest.mark.slow
@given(bulletins)
def test_what_is_signed_comes_back(bulletin):
    raw = bulletin.sign(KEY)
    assert len(raw) <= MAX_BULLETIN_BYTES
    found = Bulletin.parse(raw)
    for stage, back in zip(bulletin.stages, found.stages, strict=True):
        mapped = stage.report_to and getattr(stage.report_to.address, "ipv4_mapped", None)
        assert back == stage or mapped, "an IPv4 address may be written as IPv6"
    assert (found.epoch, found.gate, found.part) == (bulletin.epoch, bulletin.gate, 1)
    assert claim_of(raw) == (key_id(KEY.public_key()), bulletin.epoch, bulletin.issued_unix_ms, 1)
    assert is_signed_by(raw, KEY.public_key())
    assert not is_signed_by(raw, OTHER_KEY.public_key())


def test_the_declaration_is_that_of_construct():
    raw = Bulletin(7, 8, (Stage(ReleaseId(b"r" * 16), 5, b"saltsalt", True, "bad"),)).sign(KEY)
    assert HeadFormat.as_construct.parse(raw).epoch == 7
    assert StageFormat.as_construct.parse(raw[HeadFormat.sizeof() :]).threshold == 5


@given(st.integers(0, 247), st.integers(1, 255))
def test_a_changed_byte_is_told_before_the_signature_or_by_it(at, change):
    raw = bytearray(Bulletin(7, 8, (Stage(ReleaseId(b"r" * 16)),)).sign(KEY))
    raw[at] ^= change
    try:
        claim_of(bytes(raw))
    except FormatError:
        return
    assert at >= len(raw) - 64
    assert not is_signed_by(bytes(raw), KEY.public_key())


@given(st.binary(max_size=400))
def test_noise_is_no_bulletin(noise):
    for raw in (noise, b"BCBL\x01\x00" + noise):
        with pytest.raises(FormatError):
            Bulletin.parse(raw)


def test_too_much_for_one_bulletin_is_our_own_mistake():
    with pytest.raises(ValueError, match="13 releases"):
        Bulletin(1, 1, (Stage(ReleaseId(bytes(16))),) * (MAX_STAGES + 1)).sign(KEY)
    with pytest.raises(ValueError, match="part 1 of 1"):
        Bulletin(1, 1, part=1).sign(KEY)


def test_a_reason_is_cut_at_a_whole_character_and_made_printable():
    said = Stage(ReleaseId(bytes(16)), why="ü" * 40)
    assert Stage.parse(said.build()).why == "ü" * (WHY_BYTES // 2)
    assert "\x1b" not in Stage.parse(Stage(ReleaseId(bytes(16)), why="\x1b[31mred").build()).why


@given(st.floats(0, 1), st.floats(0, 1), st.text(min_size=1))
def test_cohorts_only_grow(one, other, box_id):
    low, high = (Stage(ReleaseId(bytes(16)), threshold_of(share)) for share in sorted((one, other)))
    assert not low.is_for(box_id) or high.is_for(box_id)


def test_thresholds_at_both_ends():
    assert threshold_of(1.0) == ALL
    assert threshold_of(0.0) == 0
    assert Stage(ReleaseId(bytes(16)), threshold_of(0.25)).share == 0.25
    everybody = Stage(ReleaseId(bytes(16)), ALL)
    assert everybody.is_for("any")
    assert everybody.is_for("")
    assert not Stage(ReleaseId(bytes(16)), ALL - 1).is_for(""), "who has no id is in the last cohort"


def test_a_cohort_is_a_binomial_draw_and_the_sample_is_another_one():
    boxes, share = 20_000, 0.05
    draws = [Draw.of(b"saltsalt", f"serial-{number:08x}") for number in range(boxes)]
    threshold = threshold_of(share)
    inside = [draw for draw in draws if draw.cohort <= threshold]
    deviation = (boxes * share * (1 - share)) ** 0.5
    assert abs(len(inside) - boxes * share) < 4 * deviation
    sampled = sum(draw.sample <= threshold_of(0.5) for draw in inside)
    assert abs(sampled - len(inside) / 2) < 4 * (len(inside) / 4) ** 0.5


def test_another_salt_draws_other_boxes():
    one, other = ({number for number in range(4000) if Stage(ReleaseId(bytes(16)), threshold_of(0.1), salt).is_for(
        f"box {number}")} for salt in (b"saltsalt", b"pepper__"))  # fmt: skip
    assert len(one & other) < 0.3 * len(one)


def test_addresses_of_both_families():
    for text in ("192.0.2.7", "2001:db8::7"):
        to = ReportTo(ip_address(text), 5099, 3, 20)
        assert Stage.parse(Stage(ReleaseId(bytes(16)), report_to=to).build()).report_to == to
