"""A trunk that a neighbourhood shares: its losses are drawn once for each neighbourhood, burst by burst.

Given those, the boxes behind it are independent again: a block that the trunk robbed of l symbols is one that so many
fewer symbols went by for. Announcements and digest packets are judged by the mean loss of trunk and link together.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.fleet.model.chains import LossChain, chain_of_link
from bench.fleet.model.histogram import EDGES_S, bins_of
from bench.fleet.model.law import CompletionLaw, any_late, check_rate
from bench.fleet.scenario.values import BoxClass, Scenario, Trunk
from carousel.release.blocks import IntArray

__all__ = ["TrunkedLaw", "lost_slots"]

FloatArray = NDArray[np.float64]
EDGES = 72
STRETCH = 1.0015
"""From edge to edge at the least: a bin of the histograms."""


@dataclass(frozen=True, eq=False)
class TrunkedLaw:
    """`law` of the boxes' own links, and the trunk's chain as the image's packets meet it."""

    law: CompletionLaw
    trunk_chain: LossChain
    slot_chain: LossChain

    @classmethod
    def of(cls, scenario: Scenario, box_class: BoxClass, law: CompletionLaw, trunk: Trunk) -> "TrunkedLaw":
        """Return the law of a class behind a trunk; `OperatorError` for a trunk that has no exact distribution."""
        who = f"trunk {trunk.name!r}"
        check_rate(trunk.down.rate_bps, scenario.carousel, scenario.release(box_class.release), who)
        chain = chain_of_link(trunk.down, who)
        return cls(law, chain, chain.seen_every(np.diff(law.timeline.wire)))

    def late(
        self, start_s: float, neighbourhoods: int, boxes: int, rng: np.random.Generator
    ) -> tuple[FloatArray, FloatArray]:
        """Draw the trunks' losses; return (edges in s, chance that a box is late at each, by neighbourhood)."""
        edges_s = self._edges_s(start_s, boxes)
        heard_s = np.maximum(0.0, edges_s - self.law.delay_s)
        offered = self.law.timeline.heard(start_s, heard_s).sum(axis=0)
        slots = offered.sum(axis=1)
        robbed = self._robbed(neighbourhoods, slots, offered.shape[1], rng)
        offered = np.maximum(0, offered[None] - robbed)
        sizes = self.law.timeline.layout.objects[0].block_sizes
        late = np.empty(offered.shape)
        for size in np.unique(sizes).tolist():
            mine = sizes == size
            late[:, :, mine] = self.law.turn_table(size, int(offered.max()))[offered[:, :, mine]]
        lacks = self.law.dependence(any_late(late))
        proof = self.law.lacks_proof(start_s, heard_s, self._mean_loss)
        whole = any_late(np.stack([lacks, np.broadcast_to(proof, lacks.shape)], axis=-1))
        return edges_s, np.minimum.accumulate(whole, axis=1)

    @property
    def _mean_loss(self) -> float:
        return 1 - (1 - self.law.chain.mean) * (1 - self.trunk_chain.mean)

    def _edges_s(self, start_s: float, boxes: int) -> FloatArray:
        """Choose times between which boxes are counted, from the first that may be done to where hardly any is left."""
        first = max(0, int(bins_of(np.array([self.law.least_s]))[0]) - 1)
        last_s = self.law.least_s * 1.1
        while last_s < EDGES_S[-1] / 2:
            longer_s = np.array([last_s])
            offered = self.law.late(start_s, longer_s * (1 - 2 * self.trunk_chain.mean))
            proof = self.law.lacks_proof(start_s, longer_s, self._mean_loss)
            if (offered[0] + proof[0]) * boxes < 1e-3:
                break
            last_s *= 1.1
        last = int(bins_of(np.array([last_s * 1.1]))[0]) + 2
        return EDGES_S[np.unique(np.linspace(first, last, EDGES).astype(np.int64))]

    def _robbed(self, neighbourhoods: int, slots: IntArray, blocks: int, rng: np.random.Generator) -> IntArray:
        """Draw how many symbols of each block the trunk lost by each edge: (neighbourhoods, edges, blocks)."""
        street, slot = lost_slots(self.slot_chain, neighbourhoods, int(slots[-1]), rng)
        edge = np.searchsorted(slots, slot, side="right")
        shape = (neighbourhoods, len(slots), blocks)
        cells = (street * len(slots) + edge) * blocks + slot % blocks
        return np.bincount(cells, minlength=int(np.prod(shape))).reshape(shape).cumsum(axis=1)


def lost_slots(chain: LossChain, links: int, slots: int, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    """Draw which of `slots` packets each of some links loses, burst by burst: (link, slot) of each lost packet."""
    found = [_thinned(*_runs(chain, links, slots, rng), chain.h, rng)] if chain.bad_share else []
    if chain.k < 1:
        count = rng.poisson(-np.log1p(-(1 - chain.k)) * slots * links) if chain.k > 0 else 0
        cells = np.unique(rng.integers(slots * links, size=count)) if chain.k > 0 else np.arange(slots * links)
        street, slot = np.divmod(cells, slots)
        if found:  # where the chain is bad, the good state's losses do not count
            bad = np.isin(street * slots + slot, found[0][0] * slots + found[0][1])
            street, slot = street[~bad], slot[~bad]
        found.append((street, slot))
    if not found:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    return np.concatenate([each[0] for each in found]), np.concatenate([each[1] for each in found])


def _runs(chain: LossChain, links: int, slots: int, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    """Draw the slots at which each link is in the bad state."""
    mean = slots / (1 / chain.p + 1 / chain.r)
    runs = int(mean + 8 * mean**0.5 + 12)
    good, bad = rng.geometric(chain.p, (links, runs)), rng.geometric(chain.r, (links, runs))
    good[:, 0] -= 1  # runs have no memory: the first may have begun before
    good[rng.random(links) < chain.bad_share, 0] = 0
    begins = np.cumsum(good, axis=1)
    begins[:, 1:] += np.cumsum(bad, axis=1)[:, :-1]
    seen = begins < slots
    street = np.broadcast_to(np.arange(links)[:, None], begins.shape)[seen]
    length = np.minimum(bad[seen], slots - begins[seen])
    within = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    return np.repeat(street, length), np.repeat(begins[seen], length) + within


def _thinned(street: IntArray, slot: IntArray, h: float, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    if not h:
        return street, slot
    lost = rng.random(len(slot)) >= h
    return street[lost], slot[lost]
