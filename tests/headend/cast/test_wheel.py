"""The order of a cycle: digests come before what they prove, and cost what they must."""

import numpy as np
import pytest

from carousel.flute.releasefile import digest_places
from headend.cast.wheel import CHAIN_PASSES, URGENT_PASSES, Wheel
from settop.wire.gaps import LONGEST_GAP


@pytest.fixture(scope="module", params=[(300_000, 512, 1.0), (9_000_000, 1440, 1.0), (500_000, 1440, 0.0)])
def release(request, make_release):
    size, symbol, repair = request.param
    return make_release(size, symbol_size=symbol, repair_ratio=repair)


def sent(wheel, cycles):
    """Packet numbers, in order, of so many whole cycles from here on."""
    numbers, end = [], wheel.cycle + cycles
    while wheel.cycle < end:
        first, count = wheel.next_burst()
        numbers += range(first, first + count)
    return numbers


@pytest.fixture(scope="module")
def needed(release):
    """Per image packet: the level-1 packets with the first and the last byte of its digest."""
    layout = release.layout
    image, level_1 = layout.objects[0], layout.objects[1]
    from carousel.flute.interleave import transmit_places

    sbn, esi = image.symbols_of(np.arange(image.rows))
    places = transmit_places(image, sbn, esi)
    found = np.zeros((image.rows, 2), dtype=np.int64)
    for column, more in enumerate((0, 15)):
        rows = (layout.digest_offsets(0, sbn, esi) + more) // layout.symbol_size
        found[places, column] = release.image_packets + digest_places(layout, 1, *level_1.symbols_of(rows))
    return found


def test_whoever_hears_a_symbol_has_heard_its_digest_soon_after_tuning_in(release, needed):
    wheel = Wheel(release, 3, seed=5)
    sent(wheel, 1)
    for share in (0.0, 0.3, 0.77):
        wheel.seek(round(share * release.image_packets))
        heard, unknown, image = set(), 0, 0
        for number in sent(wheel, 1) + sent(wheel, 1):
            heard.add(number)
            if number < release.image_packets:
                image += 1
                unknown += not set(needed[number].tolist()) <= heard
        assert unknown == 0, "a carousel that starts begins with the digests of its first window"


def test_a_box_that_tunes_in_late_lacks_few_digests(release, needed):
    wheel = Wheel(release, 3, seed=5)
    order = sent(wheel, 3)
    source = release.layout.objects[0].source_symbols
    for begin in (len(order) // 7, len(order) // 3, len(order) // 2):
        heard, unknown, image = set(), 0, 0
        for number in order[begin:]:
            heard.add(number)
            if number < release.image_packets and image < source:
                image += 1
                unknown += not set(needed[number].tolist()) <= heard
        print(f"{unknown} of {source} symbols could not be judged when they came")
        assert unknown <= max(0.25 * source, 2 * 44 + 90 * release.layout.objects[0].blocks)


@pytest.mark.parametrize("burst_packets", [1, 3, 9, 12, 23, 44, 64])
@pytest.mark.parametrize("size_bytes", [1_000_000, 9_000_000])
def test_no_jump_of_the_carousel_looks_like_a_loss(make_release, size_bytes, burst_packets):
    """At any rate, which makes the bursts: a box takes a short step forward for packets that did not come."""
    release = make_release(size_bytes, symbol_size=1440)
    order = np.array([number for number in sent(Wheel(release, burst_packets, 5), 2) if number < release.image_packets])
    steps = np.diff(order)
    assert steps[(steps > 1) & (steps <= LONGEST_GAP)].tolist() == []


def test_a_cycle_has_level_1_once_and_what_proves_it_several_times(release):
    wheel = Wheel(release, 3, seed=5)
    sent(wheel, 1)
    order = np.array(sent(wheel, 2))
    chain = release.chain_packets()
    level_1 = np.setdiff1d(release.digests_in_step()[1], chain)
    counts = np.bincount(order, minlength=release.layout.rows)
    assert (counts[level_1] == 2).all()
    images_worth = 2 * release.image_packets / release.layout.objects[0].source_symbols
    urgent = release.urgent_packets()
    rest = np.setdiff1d(chain, urgent)
    once = np.isin(urgent, level_1).mean()
    assert counts[urgent].mean() == pytest.approx(URGENT_PASSES * images_worth + once, rel=0.2)
    if len(rest):
        assert counts[rest].mean() == pytest.approx(CHAIN_PASSES * images_worth, rel=0.2)
    assert set(np.flatnonzero(counts[release.image_packets :]).tolist()) == {
        number - release.image_packets for number in (*level_1.tolist(), *chain.tolist())
    }


def test_what_goes_round_proves_level_1_from_the_top_down(make_release):
    release = make_release(9_000_000, symbol_size=1440)
    chain = release.layout.chain_symbols()
    assert [level for level, _ in chain] == sorted((level for level, _ in chain), reverse=True)
    assert chain[0] == (release.layout.top, 0)
    assert set(release.layout.urgent_symbols()) <= set(chain)
    level_1 = release.layout.objects[1]
    sbn, esi = level_1.symbols_of(np.arange(level_1.source_symbols))
    for level, geometry in ((1, release.layout.objects[2]),):
        rows = set(((release.layout.digest_offsets(level, sbn, esi) + 15) // geometry.symbol_size).tolist())
        assert rows <= {row for mine, row in chain if mine == 2}
