"""A link: its impairments one behind the other, and what they did, counted for each link."""

from typing import Any

import numpy as np

from bench.link.impairments import Corrupt, Delay, Duplicate, Impairment, Lose, Outage, RateLimit, Reorder, TraceRate
from bench.link.loss import Bernoulli, FourState, GilbertElliott, LossModel, LossTrace
from bench.link.rfc3357 import LossPatterns
from bench.link.spec import LinkSpec
from bench.link.traffic import Counts, Traffic

__all__ = ["Chain", "loss_model"]


def loss_model(spec: LinkSpec, links: int, rng: np.random.Generator) -> LossModel | None:
    """Return the loss model that a spec asks for."""
    if spec.ge is not None:
        return GilbertElliott(*spec.ge, links, rng)
    if spec.four_state is not None:
        return FourState(*spec.four_state, links, rng)
    if spec.loss_trace is not None:
        return LossTrace(list(spec.loss_trace), links, rng)
    if spec.burst is not None:
        return GilbertElliott.of_bursts(spec.loss, spec.burst, links, rng)
    return Bernoulli(spec.loss, links, rng) if spec.loss else None


class Chain:
    """`links` links of one kind. Each impairment has a random stream of its own, from (seed, its name).

    Loss comes first, so that which packets are lost hangs on nothing but the seed and their count; then what is done
    to a packet (duplicate, corrupt), the line (rate, queue), the way (delay, jitter, reorder).
    """

    def __init__(self, spec: LinkSpec, links: int, seed: tuple[int, ...]) -> None:
        self.spec = spec
        self.links = links
        self.stages = self._stages(spec, links, seed)
        self.offered = np.zeros(links, dtype=np.int64)
        self.delivered = np.zeros(links, dtype=np.int64)
        self.delivered_bytes = np.zeros(links, dtype=np.int64)
        self.counts: dict[str, Counts] = {stage.name: np.zeros(links, dtype=np.int64) for stage in self.stages}
        self.delay_sum_s = np.zeros(links)
        self.delay_max_s = np.zeros(links)
        self.patterns = LossPatterns(links)

    @staticmethod
    def _stages(spec: LinkSpec, links: int, seed: tuple[int, ...]) -> list[Impairment]:
        def rng(stage: int) -> np.random.Generator:
            return np.random.default_rng([*seed, stage])

        stages: list[Impairment] = []
        model = loss_model(spec, links, rng(0))
        if model is not None:
            stages.append(Lose(model))
        if spec.outages:
            stages.append(Outage(spec.outages))
        if spec.duplicate:
            stages.append(Duplicate(spec.duplicate, rng(1)))
        if spec.corrupt:
            stages.append(Corrupt(spec.corrupt, rng(2)))
        if spec.rate_bps is not None:
            stages.append(RateLimit(spec.rate_bps, spec.queue_s, links))
        if spec.rate_trace_ms is not None:
            stages.append(TraceRate(list(spec.rate_trace_ms), spec.queue_s, links))
        if spec.delay_s or spec.jitter_s:
            stages.append(Delay(spec.delay_s, spec.jitter_s, rng(3)))
        if spec.reorder:
            stages.append(Reorder(spec.reorder, spec.delay_s, rng(4)))
        return stages

    def let_through(self, traffic: Traffic) -> None:
        """Let a batch pass, changing it; no patterns are noted."""
        for stage in self.stages:
            self.counts[stage.name] += stage.apply(traffic)

    def carry(self, traffic: Traffic) -> None:
        """Let a batch pass, changing it, and note what became of it."""
        self.let_through(traffic)
        alive = traffic.copies > 0
        self.offered += len(traffic.arrival_s)
        self.delivered += alive.sum(axis=0)
        self.delivered_bytes += (traffic.copies * traffic.size_bytes[:, None]).sum(axis=0)
        waited_s = np.where(alive, traffic.due_s - traffic.arrival_s[:, None], 0.0)
        self.delay_sum_s += waited_s.sum(axis=0)
        np.maximum(self.delay_max_s, waited_s.max(axis=0), out=self.delay_max_s)
        self.patterns.see(~alive)

    def report(self, link: int) -> dict[str, Any]:
        """Return one link's counts and loss patterns."""
        delivered = int(self.delivered[link])
        return {
            "offered": int(self.offered[link]),
            "delivered": delivered,
            "loss": round(1 - delivered / max(1, int(self.offered[link])), 6),
            **{name: int(counts[link]) for name, counts in self.counts.items()},
            "delay_mean_s": round(float(self.delay_sum_s[link]) / max(1, delivered), 6),
            "delay_max_s": round(float(self.delay_max_s[link]), 6),
            **self.patterns.report(link),
        }
