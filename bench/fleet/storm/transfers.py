"""Connections to a server that share its rate fairly, exact for a flow however long a step is beside a transfer.

Connections of one kind (as fast a line, as large an image) get the same at any time. So one counter says what each of
them has got since it began: the first in is the first out, done once the counter is one image further on.

    counter          was ├────────── step ──────────┤ is
    let in                ░░░░░░ these, evenly ░░░░░░          done at counter + image, evenly
    done             ▓▓▓▓▓▓ ▓▓▓▓▓▓▓▓ ▓▓▓│▓▓▓                   of these, who lies left of `is`

How far the counters go in a step is what makes the bits moved as many as the server can send, or else as the lines
take: who is done within the step leaves its rate to the others, and who is let in within it takes none before.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.fleet.storm.crowd import by_group, total_of
from carousel.release.blocks import IntArray

__all__ = ["Done", "Transfers"]

FloatArray = NDArray[np.float64]
MOST_TURNS, EXACT = 30, 1e-7


@dataclass(slots=True)
class _Cohort:
    """Boxes that were let in evenly from `since_s` to `until_s`, in step `index`, and are done as the counter goes from
    `first_bits` to `last_bits`; `left` of them were not yet when it was looked at last.
    """

    first_bits: float
    last_bits: float
    since_s: float
    until_s: float
    index: int
    crowd: IntArray
    count: int
    left: IntArray

    def share_at(self, bits: float) -> float:
        """Return which share is done with the counter at `bits`."""
        if bits >= self.last_bits:
            return 1.0
        return max(0.0, bits - self.first_bits) / (self.last_bits - self.first_bits)

    def between(self, begin_bits: float, end_bits: float) -> tuple[float, float]:
        """Return how many are done as the counter goes from here to there, and where it is when half of these are."""
        share = self.share_at(end_bits) - self.share_at(begin_bits)
        return share * self.count, (max(begin_bits, self.first_bits) + min(end_bits, self.last_bits)) / 2

    def take_done(self, bits: float) -> IntArray:
        """Return who is done with the counter at `bits` and was not before, in whole boxes."""
        before = self.left
        self.left = (self.crowd * (1.0 - self.share_at(bits)) + 0.5).astype(np.int64)
        return before - self.left

    def drop(self, gone: IntArray, bits: float) -> None:
        """Let some go of whom is left with the counter at `bits`."""
        self.since_s += self.share_at(bits) * (self.until_s - self.since_s)
        self.first_bits = max(self.first_bits, bits)
        self.crowd = self.left = self.left - gone
        self.count = total_of(self.crowd)


@dataclass(frozen=True, slots=True)
class Done:
    """Boxes (groups,) that were let in at step `asked_at`, and are done at `at_s` on average, `took_s` later."""

    asked_at: int
    counts: IntArray
    took_s: float
    at_s: float


class _Kind:
    """Connections over lines of `line_bps`, each for an image of `image_bits`."""

    def __init__(self, line_bps: float, image_bits: float) -> None:
        self.line_bps, self.image_bits = line_bps, image_bits
        self.active = 0
        self.cohorts: deque[_Cohort] = deque()
        self._got_bits, self._flow = 0.0, 0.0

    def ahead(self, by_bits: float, come: int) -> tuple[float, float]:
        """Return how many bits are moved if the counter goes so far on while `come` are let in, and by how many more
        for each bit that it went further: who is not done by then.
        """
        end_bits = self._got_bits + by_bits
        moved, going_on = self._flow * by_bits, self._flow
        for each in self.cohorts:
            if each.first_bits >= end_bits:
                break
            done, middle_bits = each.between(self._got_bits, end_bits)
            moved -= done * (end_bits - middle_bits)
            going_on -= done
        if by_bits <= self.image_bits:
            return moved + come * by_bits / 2, going_on + come / 2
        going = self.image_bits / by_bits
        return moved + come * self.image_bits * (1 - going / 2), going_on + come * going * going / 2

    def go_on(
        self, by_bits: float, crowd: IntArray, come: int, begin_s: float, step_s: float, index: int
    ) -> list[Done]:
        """Let the counter go on while `crowd` is let in; return who is done."""
        was_bits = self._got_bits
        self._got_bits = end_bits = was_bits + by_bits
        if come:
            first_bits, last_bits = was_bits + self.image_bits, end_bits + self.image_bits
            self.cohorts.append(_Cohort(first_bits, last_bits, begin_s, begin_s + step_s, index, crowd, come, crowd))
            self.active += come
            self._flow += come
        done = []
        while self.cohorts and self.cohorts[0].first_bits < end_bits:
            each = self.cohorts[0]
            flow, middle_bits = each.between(was_bits, end_bits)
            some = each.take_done(end_bits)
            count = total_of(some)
            self._flow -= flow
            self.active -= count
            if count:
                at_s = begin_s + step_s * (middle_bits - was_bits) / by_bits
                since_s = each.since_s + each.share_at(middle_bits) * (each.until_s - each.since_s)
                done.append(Done(each.index, by_group(some), at_s - since_s, at_s))
            if each.last_bits > end_bits:
                break
            self.cohorts.popleft()
        if not self.cohorts:
            self._flow = 0.0
        return done

    def drop_some(self, shares: FloatArray, now_s: float, rng: np.random.Generator) -> Iterator[Done]:
        """Let a share of each group (groups,) go without the rest of the image; yield who went."""
        for each in self.cohorts:
            gone = rng.binomial(each.left, shares)
            count = total_of(gone)
            if count:
                self._flow -= each.between(self._got_bits, each.last_bits)[0]
                each.drop(gone, self._got_bits)
                self._flow += each.count
                self.active -= count
                yield Done(each.index, by_group(gone), now_s - (each.since_s + each.until_s) / 2, now_s)

    def time_out(self, since_s: float) -> Iterator[IntArray]:
        """Let those go that were let in before `since_s` and are not done; yield the crowds."""
        while self.cohorts and (self.cohorts[0].since_s + self.cohorts[0].until_s) / 2 < since_s:
            each = self.cohorts.popleft()
            self._flow -= each.between(self._got_bits, each.last_bits)[0]
            self.active -= total_of(each.left)
            yield each.left


class Transfers:
    """All connections, of groups over lines of `lines_bps` (groups,) for images of `image_bits` (groups,)."""

    def __init__(self, lines_bps: list[float], image_bits: list[float]) -> None:
        pairs = list(zip(lines_bps, image_bits, strict=True))
        found = list(dict.fromkeys(pairs))
        self._kinds = [_Kind(*pair) for pair in found]
        self._of_kind: IntArray = np.array([[pair == kind for pair in pairs] for kind in found], dtype=np.int64)
        self._share_bps = np.inf

    @property
    def active(self) -> int:
        """How many connections there are."""
        return sum(each.active for each in self._kinds)

    def room_for(self, asking: IntArray, total: int, most: int, step_s: float) -> int:
        """Return how many of so many that ask may be let in within a step, with `most` connections at a time.

        Who is done within it makes room, as it would with the share of the step before; and a connection that is had
        more than once in a step counts as several.
        """
        if not total or self.active + total <= most:
            return total
        going_on = staying = 0.0
        for kind, count in zip(self._kinds, self._by_kind(asking), strict=True):
            by_bits = min(kind.line_bps, self._share_bps) * step_s
            going_on += kind.ahead(by_bits, 0)[1]
            staying += total_of(count) * min(1.0, kind.image_bits / max(1.0, by_bits))
        return min(total, max(0, int((most - going_on) * total / staying)))

    def _by_kind(self, crowd: IntArray) -> list[IntArray]:
        return [crowd] if len(self._kinds) == 1 else [crowd * each for each in self._of_kind]

    def go_on(
        self, let_in: IntArray, rate_bps: float, begin_s: float, step_s: float, index: int
    ) -> tuple[float, list[Done]]:
        """Go a step on at this rate while a crowd is let in; return how many bits were moved, and who is done."""
        crowds = self._by_kind(let_in)
        come = [total_of(each) for each in crowds]
        self._share_bps, moved = self._share(come, rate_bps, step_s)
        done = []
        for kind, crowd, count in zip(self._kinds, crowds, come, strict=True):
            if count or kind.cohorts:
                by_bits = min(kind.line_bps, self._share_bps) * step_s
                done += kind.go_on(by_bits, crowd, count, begin_s, step_s, index)
        return moved, done

    def _share(self, come: list[int], rate_bps: float, step_s: float) -> tuple[float, float]:
        """Return the share that moves just what the server can send in the step, or infinity if lines are what is
        short; and how many bits it moves.

        The larger it is, the less more of it moves: Newton's way comes up to it from below.
        """
        share_bps, can_bits = 0.0, rate_bps * step_s
        for _ in range(MOST_TURNS):
            left_bits, grows = can_bits, 0.0
            for kind, count in zip(self._kinds, come, strict=True):
                moved, going_on = kind.ahead(min(share_bps, kind.line_bps) * step_s, count)
                left_bits -= moved
                if share_bps < kind.line_bps:
                    grows += going_on * step_s
            if grows <= 0 or left_bits <= EXACT * can_bits:
                break
            share_bps += left_bits / grows
        return (np.inf if grows <= 0 else share_bps), can_bits - left_bits

    def drop_some(self, shares: FloatArray, now_s: float, rng: np.random.Generator) -> Iterator[Done]:
        """Let a share of each group (groups,) go without the rest of the image; yield who went."""
        for kind in self._kinds:
            yield from kind.drop_some(shares, now_s, rng)

    def time_out(self, since_s: float) -> Iterator[IntArray]:
        """Let those go that were let in before `since_s` and are not done; yield the crowds."""
        for kind in self._kinds:
            yield from kind.time_out(since_s)
