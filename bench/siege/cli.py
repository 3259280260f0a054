"""`bootbench siege`: what attackers with packets alone cost a boot."""

import json
import math
from functools import cache
from typing import Annotated

import numpy as np
import typer

from bench.siege.scenarios import SCENARIOS, Scenario, field_of
from bench.siege.siege import besiege
from carousel.console.quantities import parse_rate_bps, parse_size_bytes
from carousel.errors import UsageError

__all__ = ["siege"]


def siege(
    image_size: Annotated[str, typer.Option(help="The image's size.", metavar="SIZE")] = "20M",
    rate: Annotated[str, typer.Option(help="The carousel's rate.", metavar="RATE")] = "40M",
    runs: Annotated[int, typer.Option(min=1, help="Random starts for each attack.", metavar="N")] = 3,
    only: Annotated[str, typer.Option(help="Only attacks with these words in their name.", metavar="TEXT")] = "",
    seed: Annotated[int, typer.Option(min=0, help="One seed, one table.", metavar="N")] = 7,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Attack a box with packets alone, in virtual time: how much longer takes its boot? Exit 1 if a promise breaks."""
    size_bytes, rate_bps = parse_size_bytes(image_size), parse_rate_bps(rate)
    chosen = [scenario for scenario in SCENARIOS if only in scenario.name]
    if not chosen:
        raise UsageError(f"no attack has {only!r} in its name; there are {', '.join(each.name for each in SCENARIOS)}")
    grounds = _Grounds(size_bytes, rate_bps, seed, runs)
    if not as_json:
        calm_s = grounds.calm_s(0.0, 1.0)
        print(f"undisturbed: {calm_s:.2f} s; median and worst of {runs} starts, seed {seed}\n")
        print("| attack | median | worst | promised |\n|---|---|---|---|", flush=True)
    broken = False
    for scenario in chosen:
        factors = grounds.factors(scenario)
        median, worst = factors[len(factors) // 2], factors[-1]
        holds = scenario.most is None or median <= scenario.most
        broken |= not holds
        if as_json:
            print(json.dumps({"attack": scenario.name, "median": median, "worst": worst, "most": scenario.most}))
        else:
            promise = f"{scenario.most} x" if scenario.most else "nothing"
            row = f"| {scenario.name} | {median:.2f} x | {worst:.2f} x | {promise}{'' if holds else ', BROKEN'} |"
            print(row, flush=True)
    if broken:
        raise typer.Exit(1)


class _Grounds:
    """What sieges are fought over, packed once for each repair ratio, and how long a boot takes there in peace."""

    def __init__(self, size_bytes: int, rate_bps: float, seed: int, runs: int) -> None:
        self._field = cache(lambda ratio: field_of(size_bytes, rate_bps, seed, ratio))
        self._starts: list[int] = (
            np.random.default_rng(seed).integers(self._field(1.0).release.image_packets, size=runs).tolist()
        )
        self.calm_s = cache(self._calm_s)

    def _calm_s(self, loss: float, repair_ratio: float) -> float:
        """Return the median time to the image, undisturbed, in seconds."""
        field = self._field(repair_ratio)
        times_s = [
            besiege(field.release, field.profile, field.rate_bps, None, start, loss).verified_s or math.inf
            for start in self._starts
        ]
        return sorted(times_s)[len(times_s) // 2]

    def factors(self, scenario: Scenario) -> list[float]:
        """Fight an attack from every start: how much longer a boot takes, in order; infinity: nothing, or not it."""
        field, calm_s = self._field(scenario.repair_ratio), self.calm_s(scenario.loss, scenario.repair_ratio)
        factors = []
        for start in self._starts:
            attacker = scenario.attacker(field)
            rollout = field.rollout if scenario.obeys else None
            ended = besiege(field.release, field.profile, field.rate_bps, attacker, start, scenario.loss, rollout)
            is_good = ended.verified_s is not None and ended.is_right
            factors.append((ended.verified_s or math.inf) / calm_s if is_good else math.inf)
        return sorted(factors)
