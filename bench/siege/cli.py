"""`bootbench siege`: what attackers with packets alone cost a boot."""

import json
import math
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from bench.siege.attackers import Attacker
from bench.siege.scenarios import SCENARIOS, Field, field_of
from bench.siege.siege import besiege
from carousel.console.quantities import parse_rate_bps, parse_size_bytes

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
    field = field_of(parse_size_bytes(image_size), parse_rate_bps(rate), seed)
    starts = field.rng.integers(field.release.image_packets, size=runs).tolist()
    calm_s = _median(
        [besiege(field.release, field.profile, field.rate_bps, None, start).verified_s for start in starts]
    )
    if not as_json:
        print(f"undisturbed: {calm_s:.2f} s; median and worst of {runs} starts, seed {seed}\n")
        print("| attack | median | worst | promised |\n|---|---|---|---|")
    broken = False
    for scenario in SCENARIOS:
        if only not in scenario.name:
            continue
        factors = sorted(_factor(field, scenario.attacker, start, calm_s) for start in starts)
        median, worst = factors[len(factors) // 2], factors[-1]
        holds = scenario.most is None or median <= scenario.most
        broken |= not holds
        if as_json:
            print(json.dumps({"attack": scenario.name, "median": median, "worst": worst, "most": scenario.most}))
        else:
            promise = f"{scenario.most} x" if scenario.most else "nothing"
            print(f"| {scenario.name} | {median:.2f} x | {worst:.2f} x | {promise}{'' if holds else ', BROKEN'} |")
    if broken:
        raise typer.Exit(1)


def _factor(field: Field, attacker: Callable[[Field], Attacker], start: int, calm_s: float) -> float:
    ended = besiege(field.release, field.profile, field.rate_bps, attacker(field), start)
    if ended.verified_s is None or not ended.is_right:
        return math.inf
    return ended.verified_s / calm_s


def _median(times_s: Sequence[float | None]) -> float:
    ordered = sorted(math.inf if time_s is None else time_s for time_s in times_s)
    return ordered[len(ordered) // 2]
