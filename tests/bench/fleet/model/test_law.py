"""The law of completion against closed forms and the reference numbers of the design."""

import numpy as np
import pytest

from bench.fleet.model.chains import LossChain
from bench.fleet.model.law import CompletionLaw, law_of, law_of_class
from bench.fleet.scenario.values import Carousel, ReleaseSpec
from carousel.errors import OperatorError
from tests.bench.fleet.fleets import scenario


def independent(loss: float) -> LossChain:
    return LossChain(0.0, 1.0, 0.0, 1 - loss)


def law(symbols: int, repair: float, chain: LossChain) -> CompletionLaw:
    return law_of(Carousel(50e6), (ReleaseSpec("a", symbols * 1440, repair),), "a", chain)


@pytest.mark.parametrize(
    ("loss", "boxes", "cycles"),
    [(0.01, 1, 2.10), (0.01, 1e4, 4.10), (0.01, 2.2e8, 6.20), (0.1, 1, 3.74), (0.1, 1e4, 7.74), (0.1, 2.2e8, 12.11)],
)
def test_the_plain_carousel_takes_as_many_cycles_as_its_closed_form(loss, boxes, cycles):
    """The mean number of cycles until the last box is done: the sum over r of 1 - (1 - p^r)^(K N), K = 1000."""
    plain = law(1000, 0.0, independent(loss))
    most = 30
    heard = np.array([[1000 if passes < r else 0 for r in range(most)] for passes in range(most)])
    late = plain._lacks_source(heard)
    assert late[1:] == pytest.approx(-np.expm1(1000 * np.log1p(-(loss ** np.arange(1.0, most)))))
    with np.errstate(divide="ignore"):  # after one cycle nobody is done
        cycles_of_last = 1 - np.expm1(boxes * np.log1p(-late[1:])).sum()
    assert cycles_of_last == pytest.approx(cycles, abs=0.006)


@pytest.mark.parametrize(("loss", "slots"), [(0.01, (1.018, 1.024, 1.034)), (0.1, (1.138, 1.155, 1.183))])
def test_a_fountain_takes_as_many_slots_as_its_closed_form(loss, slots):
    from scipy import stats

    table = law(1000, 1.0, independent(loss)).block_table(1000)
    for tail, expected in zip((1e-2, 1e-4, 1 / 4.4e8), slots, strict=True):
        found = int(np.argmax(table <= tail)) / 1000
        assert found == pytest.approx(expected, abs=0.0025)
        ideal = stats.nbinom.isf(tail, 1000, 1 - loss) / 1000 + 1
        assert ideal <= found <= ideal + 0.004


def test_a_fleet_of_220_million_blocks_needs_three_symbols_more_than_k():
    """Without loss all that makes a block late is RaptorQ: 256^-h need h more symbols."""
    table = law(1000, 1.0, independent(0.0)).block_table(1000)
    assert 2.2e8 * table[1000 + 2] == pytest.approx(13, abs=0.3)
    assert 2.2e8 * table[1000 + 3] == pytest.approx(0.05, abs=0.003)


def test_bursts_make_a_block_late_as_the_chain_says():
    burst = LossChain(0.05 / 4 / 0.95, 0.25, 0.0, 1.0)
    bursty, plain = law(1000, 1.0, burst), law(1000, 1.0, independent(0.05))
    assert bursty.block_chain.mean == pytest.approx(0.05)
    assert bursty.block_table(1000)[1080] > 3 * plain.block_table(1000)[1080]


@pytest.mark.slow
def test_chances_to_be_late_fall_to_nothing_and_never_rise():
    for repair, chain in ((1.0, independent(0.05)), (0.0, independent(0.05)), (0.1, independent(0.2))):
        found = law(2000, repair, chain)
        times_s = np.geomspace(found.least_s, found.least_s * 40, 300)
        late = found.late(0.7, times_s)
        assert late[0] == 1
        assert late[-1] < 1e-8
        assert (np.diff(late) <= 1e-11).all(), "sums of a few hundred weights round at 1e-12"


def test_before_the_announcement_nobody_is_done():
    found = law(100, 1.0, independent(0.0))
    heard_s = found.timeline.next_announcement_s(0.1)
    assert found.late(0.1, np.array([heard_s - 1e-3, heard_s + 1e-3])).tolist() == [1.0, 0.0]


def test_what_comes_before_the_announcement_is_kept_up_to_a_limit():
    """At 1 Gb/s a quarter of a second is 31 MB, and a box keeps 4 MiB."""
    specs = (ReleaseSpec("a", 20_000_000),)
    fast = law_of(Carousel(1e9), specs, "a", independent(0.0))
    rare = law_of(Carousel(1e9, 0.5), specs, "a", independent(0.0))
    taken_s = [float(np.argmax(each.late(0.01, np.linspace(0, 1.5, 3000)) < 0.5)) for each in (fast, rare)]
    assert taken_s[1] > taken_s[0] + 300


def test_a_carousel_that_does_not_fit_through_the_line_is_refused():
    slow = scenario(10, down="rate=2M,loss=1%")
    with pytest.raises(OperatorError, match=r"class 'c': the carousel takes .* of a line of 2; lower"):
        law_of_class(slow, slow.classes[0])
    dead = scenario(10, down="dead")
    with pytest.raises(OperatorError, match="loses everything"):
        law_of_class(dead, dead.classes[0])


def test_who_lacks_the_announcement_is_late_once_and_keeps_four_mebibytes_of_what_reaches_it():
    """4 MB at 50 Mb/s, 30 % lost: within a second four announcements go by, and 4 MiB that came are 0.96 s of air.

    With 0.67 s of air, and the lost announcements counted twice, 4.4 % were late, and p99 of single boxes 30 % sooner.
    """
    four = law(2778, 0.5, independent(0.3))
    starts_s = np.linspace(0.0, four.timeline.period_s, 12, endpoint=False) + 0.013
    assert four.late_over(starts_s, np.array([1.0]))[0] == pytest.approx(0.3**4, rel=0.2)
    assert four.late_over(starts_s, np.array([0.6]))[0] == pytest.approx(1.0, abs=1e-9)


@pytest.mark.slow
def test_nobody_is_done_behind_bursts_before_an_image_can_have_been_heard():
    release = ReleaseSpec("a", 64_000_000)
    bursty = law_of(Carousel(50e6), (release,), "a", LossChain(0.2 / 16 / 0.8, 1 / 16, 0.0, 1.0), 0.0)
    for start_s in (0.0, 3.3, 7.7):  # by independent single boxes the first of a thousand is done after 12.8 s
        late = bursty.late(start_s, np.array([10.1, 11.0, 12.0, 12.5]))
        assert late.tolist() == [1.0] * 4
