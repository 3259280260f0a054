"""How long a box takes from power-on to a verified image: the exact distribution, of which fleets are drawn.

A box is done when each source block has enough distinct symbols (K, or a few more when RaptorQ is unlucky: 256^-h),
and it has heard the announcement and the packets that prove the block digests. Which symbols were on air when, since
this box tuned in, comes from the real order (timeline.py); what of them was lost, from the link's chain (chains.py);
how blocks depend behind bursts, from unions.py.

    late(t) = 1 - (1 - P(a block lacks symbols)) x P(announcement heard) x P(digest chain heard)

Chances that a box is late, not that it is done, are what is kept: at 1 - 1/220,000,000 rounding would eat the others.
"""

from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from bench.fleet.model.chains import LossChain, binomial_beyond, chain_of_link, lost_of, lost_step_by_step, most_lost
from bench.fleet.model.timeline import Timeline, timeline_of
from bench.fleet.model.unions import Dependence, dependence
from bench.fleet.scenario.values import BoxClass, Carousel, ReleaseSpec, Scenario
from carousel.errors import OperatorError
from carousel.flute.alc import PLAIN_HEADER_BYTES
from carousel.release.blocks import IntArray
from headend.link.sender import IP_UDP_BYTES
from settop.wire.early import MAX_BYTES as EARLY_BYTES

__all__ = ["CompletionLaw", "law_of", "law_of_class"]

FloatArray = NDArray[np.float64]
MOST_EXTRA = 4
"""K + h symbols fail to decode with probability 256^-(h+1): beyond this, once in 10^12 blocks."""
MOST_HEADERS = 12
NONE_LATE = 1e-16
NEGLIGIBLE_WEIGHT = 1e-9
PHASES = 64


@dataclass(frozen=True, eq=False)
class CompletionLaw:
    """The law of one release on one carousel, received through one kind of link. `delay_s` is the link's."""

    timeline: Timeline
    chain: LossChain
    rate_bps: float
    delay_s: float = 0.0
    _repeats: dict[tuple[int, ...], float] = field(default_factory=dict, repr=False)

    # --- one block --------------------------------------------------------------------------------------

    @cached_property
    def repair(self) -> int:
        """R, the repair symbols of each block."""
        return self.timeline.layout.objects[0].repair_per_block

    @property
    def _most_extra(self) -> int:
        """How many symbols beyond K may be needed: none where nothing is decoded."""
        return MOST_EXTRA if self.repair else 0

    @cached_property
    def block_chain(self) -> LossChain:
        """The chain as the symbols of one block meet it."""
        blocks = self.timeline.block_of_place[self.timeline.place]
        order = np.argsort(blocks, kind="stable")
        gaps = np.diff(self.timeline.wire[order])
        return self.chain.seen_every(gaps[np.diff(blocks[order]) == 0])

    @cached_property
    def slot_chain(self) -> LossChain:
        """The chain as the image's packets meet it, one after the other."""
        return self.chain.seen_every(np.diff(self.timeline.wire))

    @cached_property
    def dependence(self) -> Dependence:
        """How the blocks depend on each other."""
        image = self.timeline.layout.objects[0]
        return dependence(self.slot_chain, image.blocks, self.repair / image.largest_block)

    def block_table(self, size: int) -> FloatArray:
        """Return the chance that a block of K = `size` is late when n of its symbols went by once, for n to K + R."""
        return _block_table(self.block_chain, size, self.repair, self._most_extra)

    def _late_after_repeats(self, size: int, heard: tuple[int, ...]) -> float:
        """Return the chance that a block is late, of whose symbols so many went by once, twice, ..."""
        key = (size, *heard)
        if key not in self._repeats:
            symbols = size + self.repair
            never = symbols - heard[0]
            lost = np.ones(1)
            for passes, count in enumerate(np.diff(heard, append=0) * -1, start=1):
                if count:
                    lost = np.convolve(lost, _trimmed(lost_of(self.block_chain, passes, int(count), symbols)))
            allowed = self.repair - never
            self._repeats[key] = _late(lost, allowed, len(lost), self._most_extra) if allowed >= 0 else 1.0
        return self._repeats[key]

    def turn_table(self, size: int, symbols: int) -> FloatArray:
        """Return the chance that a block is late when n of its symbols went by, repeats among them, for n to `symbols`.

        Beyond K + R every symbol comes round again in turn; worked out at 256 places, in between on a straight line.
        """
        once = self.block_table(size)
        turn = size + self.repair
        if symbols <= turn:
            return once[: symbols + 1]
        places = np.unique(np.linspace(turn, symbols, 256).astype(np.int64))
        heard = [(turn,) * (n // turn) + ((n % turn,) if n % turn else ()) for n in places.tolist()]
        late = [self._late_after_repeats(size, each) for each in heard]
        beyond = np.interp(np.arange(turn + 1, symbols + 1), places, late)
        return np.concatenate([once, beyond])

    # --- the image --------------------------------------------------------------------------------------

    def lacks_symbols(self, start_s: float, durations_s: FloatArray) -> FloatArray:
        """Return the chance that the image still lacks symbols so long after tuning in."""
        heard = self.timeline.heard(start_s, durations_s)
        if not self.repair:
            return self._lacks_source(heard.sum(axis=2))
        sizes = self.timeline.layout.objects[0].block_sizes
        late = np.ones((heard.shape[1], len(sizes)))
        once = heard[1].sum(axis=1) == 0
        for size in np.unique(sizes).tolist():
            table, mine = self.block_table(size), sizes == size
            late[np.ix_(once, mine)] = table[np.minimum(heard[0][np.ix_(once, mine)], len(table) - 1)]
        if not once.all():
            late[~once] = self._lates_after_repeats(heard[:, ~once])[:, None]
        return self.dependence(any_late(late))

    def _lates_after_repeats(self, heard: IntArray) -> FloatArray:
        """Return the chance for a block of average size whose symbols come round again, worked out whole."""
        size = round(float(self.timeline.layout.objects[0].block_sizes.mean()))
        step = max(1, (size + self.repair) // 512)
        means = np.minimum(np.round(heard.mean(axis=2) / step) * step, size + self.repair).astype(np.int64)
        found = np.zeros(means.shape[1])
        for index in np.argsort(means.sum(axis=0), kind="stable").tolist():
            found[index] = self._late_after_repeats(size, tuple(means[:, index].tolist()))
            if found[index] < NONE_LATE:  # and less where more was heard
                break
        return found

    def _lacks_source(self, heard: IntArray) -> FloatArray:
        """Return the chance without repair symbols: each source symbol must come at least once; shape (times,)."""
        symbols = self.timeline.layout.objects[0].source_symbols
        exactly = heard - np.append(heard[1:], np.zeros((1, heard.shape[1]), np.int64), axis=0)
        none_lost = np.zeros(heard.shape[1])
        for passes, counts in enumerate(exactly, start=1):
            if counts.any() and self.slot_chain.mean**passes * symbols > NONE_LATE / 1e3:
                none_lost += self._log_none_lost(passes, counts)
        return np.where(heard[0] < symbols, 1.0, -np.expm1(none_lost))

    def _log_none_lost(self, passes: int, counts: IntArray) -> FloatArray:
        """Return the log of the chance that none of so many neighbours was lost each time."""
        chain = self.slot_chain
        if chain.is_memoryless:
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.where(counts > 0, counts * np.log1p(-(chain.mean**passes)), 0.0)
        rate, weight = _log_survival(chain, passes)
        return np.where(counts > 0, counts * rate + weight, 0.0)

    # --- the box ----------------------------------------------------------------------------------------

    def late(self, start_s: float, durations_s: FloatArray) -> FloatArray:
        """Return the chance that a box that powers up at `start_s` takes longer than each of these times."""
        heard_s = np.maximum(durations_s - self.delay_s, 0.0)
        lacks = self._lacks_symbols_kept(start_s, heard_s)
        return any_late(np.column_stack([lacks, self.lacks_proof(start_s, heard_s, self.chain.mean)]))

    def lacks_proof(self, start_s: float, heard_s: FloatArray, loss: float) -> FloatArray:
        """Return the chance that the announcement or the digest chain is not heard yet, where `loss` is lost."""
        gaps_s = [self.timeline.announce_interval_s]
        gaps_s += [self.timeline.period_s / max(1, len(times)) for times in self.timeline.urgent_s]
        on_air = [self.timeline.announced(start_s, heard_s)]
        on_air += [self.timeline.times_on_air(times, start_s, heard_s) for times in self.timeline.urgent_s]
        all_lost = [self._all_lost(count, loss, gap_s) for count, gap_s in zip(on_air, gaps_s, strict=True)]
        return any_late(np.column_stack(all_lost))

    def _all_lost(self, count: IntArray, loss: float, gap_s: float) -> FloatArray:
        """Return the chance that each of so many packets `gap_s` apart is lost: a long burst takes several."""
        packets = gap_s * len(self.timeline.wire) / self.timeline.period_s
        kept = 0.0 if self.chain.is_memoryless else max(0.0, self.chain.memory) ** packets
        again = loss + (1 - loss) * kept
        return np.where(count > 0, loss * again ** np.maximum(0, count - 1), 1.0)

    def late_over(self, starts_s: FloatArray, durations_s: FloatArray, loss: float | None = None) -> FloatArray:
        """Return the chance to be late of a box that powers up at any of these moments.

        The carousel's place and the announcements' phase are independent over a long time: phases of announcements go
        with places from all over, since the digest chain comes round with the carousel.
        """
        heard_s = np.maximum(durations_s - self.delay_s, 0.0)
        share = self.chain.mean if loss is None else loss
        interval_s, places_s = self.timeline.announce_interval_s, np.resize(starts_s, PHASES)
        phases_s = places_s - places_s % interval_s + (np.arange(PHASES) + 0.5) / PHASES * interval_s
        proof = np.mean([self.lacks_proof(float(phase_s), heard_s, share) for phase_s in phases_s], axis=0)
        lacks = np.mean([self._lacks_symbols_kept(float(start_s), heard_s) for start_s in starts_s], axis=0)
        return any_late(np.column_stack([lacks, proof]))

    def _lacks_symbols_kept(self, start_s: float, heard_s: FloatArray) -> FloatArray:
        """Return the chance that symbols lack, those dropped included that came before the announcement.

        A box keeps 4 MiB of what reaches it: at high rates, or where announcements are lost, what comes then is gone.
        """
        kept_s = EARLY_BYTES * 8 / (self.rate_bps * (1 - self.chain.mean))
        first_s, interval_s = self.timeline.next_announcement_s(start_s), self.timeline.announce_interval_s
        # As long as all is kept, it does not matter which announcement is heard.
        enough = max(0, int((kept_s - first_s) / interval_s) + 1)
        weight_left = self.chain.mean**enough
        weight_left = weight_left if weight_left >= NEGLIGIBLE_WEIGHT else 0.0
        whole = self.lacks_symbols(start_s, heard_s)
        lacks = (1 - weight_left) * whole if enough else np.zeros(len(heard_s))
        if not weight_left:
            return whole
        announced = self.timeline.announced(start_s, heard_s)
        for index in range(enough, enough + MOST_HEADERS):
            is_last = index == enough + MOST_HEADERS - 1
            weight = weight_left if is_last else weight_left * (1 - self.chain.mean)
            gone_s = max(0.0, first_s + index * interval_s - kept_s)
            lacking = self.lacks_symbols(start_s + gone_s, np.maximum(0.0, heard_s - gone_s))
            # Until this announcement a box lacks the announcement, which is counted by itself.
            lacks += weight * np.where(announced > index, lacking, whole)
            weight_left -= weight
            if weight_left < NEGLIGIBLE_WEIGHT:
                break
        lacks /= 1 - weight_left
        return np.where(lacks > 1 - 1e-14, 1.0, lacks)  # the weights add up to 1 but for rounding

    @cached_property
    def least_s(self) -> float:
        """No box is done sooner: one image's worth of packets at the carousel's rate."""
        packet_bits = (PLAIN_HEADER_BYTES + self.timeline.layout.symbol_size) * 8
        image_bps = len(self.timeline.place) * packet_bits / self.timeline.period_s
        return self.timeline.layout.objects[0].source_symbols * packet_bits / image_bps * 0.95 + self.delay_s

    def efficiency(self, durations_s: FloatArray) -> FloatArray:
        """Return needed over received symbols of a box that took so long."""
        per_s = len(self.timeline.place) / self.timeline.period_s * (1 - self.chain.mean)
        received = np.maximum(1.0, (durations_s - self.delay_s) * per_s)
        return np.minimum(1.0, self.timeline.layout.objects[0].source_symbols / received)


def any_late(late: FloatArray) -> FloatArray:
    """Return the chance that any of independent things (last axis) is late, small chances kept exactly."""
    with np.errstate(divide="ignore"):
        found: FloatArray = -np.expm1(np.log1p(-late).sum(axis=-1))
    return found


def _late(lost: FloatArray, allowed: int, most: int, most_extra: int) -> float:
    """Return the chance to lack symbols where `allowed` may be lost, RaptorQ's bad luck included."""
    chance = 0.0
    for extra, luck in enumerate(_luck(most_extra)):
        begin = max(0, allowed - extra + 1)
        too_few = 1.0 if extra > allowed else float(lost[begin:].sum()) if begin <= most else 0.0
        chance += luck * too_few
    return min(1.0, chance)


def _luck(most_extra: int) -> list[float]:
    """Return the chances that RaptorQ needs 0, 1, ..., `most_extra` symbols beyond K."""
    needs_more = [256.0 ** -(extra + 1) for extra in range(most_extra)]
    return [more - less for more, less in zip([1.0, *needs_more], [*needs_more, 0.0], strict=True)]


def _trimmed(chances: FloatArray) -> FloatArray:
    """Cut what is negligible off the end."""
    seen = np.flatnonzero(chances > 1e-25)
    return chances[: int(seen[-1]) + 1] if len(seen) else chances[:1]


@lru_cache(maxsize=256)
def _log_survival(chain: LossChain, passes: int) -> tuple[float, float]:
    """Return (log chance a neighbour more, log chance at the begin) that none is lost each of so many times."""
    begin, transitions, loss = chain.side_by_side(passes)
    survive = (1 - loss)[:, None] * transitions
    values, vectors = np.linalg.eig(survive)
    lead = int(np.argmax(values.real))
    left = np.linalg.inv(vectors)
    weight = float((begin @ vectors[:, lead]).real * left[lead].sum().real)
    return float(np.log(values[lead].real)), float(np.log(min(1.0, weight)))


@lru_cache(maxsize=64)
def _block_table(chain: LossChain, size: int, repair: int, most_extra: int) -> FloatArray:
    symbols = size + repair
    chances = np.ones(symbols + 1)
    most = most_lost(chain, 1, symbols)
    if chain.is_memoryless:
        went_by = np.arange(size, symbols + 1)
        chances[size:] = 0.0
        for extra, luck in enumerate(_luck(most_extra)):
            chances[size:] += luck * binomial_beyond(went_by - size - extra, went_by, chain.mean)
        return np.minimum(1.0, chances)
    for n, lost in enumerate(lost_step_by_step(chain, 1, symbols, most)):
        if n >= size:
            chances[n] = _late(lost, n - size, most, most_extra)
    return chances


@lru_cache(maxsize=32)
def law_of(
    carousel: Carousel, releases: tuple[ReleaseSpec, ...], name: str, chain: LossChain, delay_s: float = 0.0
) -> CompletionLaw:
    """Return the law, worked out once in each process."""
    return CompletionLaw(timeline_of(carousel, releases, name), chain, carousel.rate_bps, delay_s)


def law_of_class(scenario: Scenario, box_class: BoxClass) -> CompletionLaw:
    """Return the law of a scenario's class behind its own link; its trunk is another matter."""
    who = f"class {box_class.name!r}"
    link, carousel = box_class.down, scenario.carousel
    check_rate(link.rate_bps, carousel, scenario.release(box_class.release), who)
    chain = chain_of_link(link, who)
    if chain.mean >= 1:
        raise OperatorError(f"{who} loses everything: no box of it would ever boot from the carousel")
    return law_of(carousel, scenario.releases, box_class.release, chain, link.delay_s)


def check_rate(line_bps: float | None, carousel: Carousel, release: ReleaseSpec, who: str) -> None:
    """Refuse a carousel that does not fit through a line: its queue would drop by a pattern of its own."""
    payload = PLAIN_HEADER_BYTES + release.symbol_bytes
    wire_bps = carousel.rate_bps * (payload + IP_UDP_BYTES[False]) / payload
    if line_bps is not None and wire_bps > line_bps:
        raise OperatorError(
            f"{who}: the carousel takes {wire_bps / 1e6:.4g} Mb/s of a line of {line_bps / 1e6:.4g}; lower the "
            "carousel's rate, or see what the queue does with --fidelity packet"
        )
