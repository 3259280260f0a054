"""The tables: which transfers make them up, and what is said of each tool."""

import random
import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.peers.measure import Outcome, transfer
from bench.peers.namespaces import Lab
from bench.peers.tools import Bootcast, Tool, Transfer

__all__ = ["LOSSES", "Setup", "cost", "late", "loss", "overload", "speed", "traffic"]

LOSSES = (0.0, 0.01, 0.05, 0.2)
RATE_BPS = 100e6
COST_BPS = 300e6
"""What every multicast tool can take here."""
OFFERED_BPS = (1e9, 2e9, 4e9, 8e9, 16e9)
LATE_AT = (0.25, 0.5, 0.75)
COST_SEED = 1
CYCLE_IMAGES = 2
"""A cycle of ours has the image once, and as much repair."""
FROM_THE_START, TUNED_IN = "from the start", "tuned in at random"
PATIENCE, LEAST_PATIENCE_S = 10.0, 10.0
"""A transfer gets so many times its ideal time, and so much beside."""
OURS = Bootcast()
Tell = Callable[[str], None]
Costs = tuple[float | None, float]
"""CPU seconds a GB of sender and receiver; None where the sender was on before."""


@dataclass(frozen=True)
class Setup:
    """Where, what, how often. `large` and `small` are the images' folders, each with `image`, releases and a store."""

    large: Path
    small: Path
    tools: tuple[Tool, ...]
    runs: int
    tell: Tell

    def transfer(self, folder: Path, boxes: int, rate_bps: float | None) -> Transfer:
        """Describe one."""
        return Transfer(folder / "image", folder / "work", boxes, rate_bps)


def _limit_s(tool: Tool, what: Transfer, loss_share: float) -> float:
    """Return how long a transfer may take: a unicast server has to send as many copies as there are boxes."""
    copies = what.boxes if tool.is_server else 1
    ideal_s = copies * what.image.stat().st_size * 8 / (what.rate_bps or RATE_BPS) / (1 - loss_share)
    return LEAST_PATIENCE_S + PATIENCE * ideal_s


def _several(setup: Setup, lab: Lab, tool: Tool, what: Transfer, loss_share: float, label: str) -> list[Outcome]:
    """Measure some times; a tool that did not finish is not asked again."""
    outcomes: list[Outcome] = []
    for run in range(setup.runs):
        outcomes.append(transfer(lab, tool, what, loss_share, _limit_s(tool, what, loss_share)))
        setup.tell(f"{label}, {tool.name}, run {run + 1}: {_in_words(outcomes[-1])}")
        if outcomes[-1].slowest_s is None:
            break
    return outcomes


def _in_words(outcome: Outcome) -> str:
    if outcome.slowest_s is None:
        return f"{outcome.complete} of {len(outcome.seconds)} complete"
    return f"{outcome.slowest_s:.2f} s"


def _median(values: list[float]) -> float | None:
    return statistics.median(values) if values else None


def _row(tool: Tool, outcomes: list[Outcome], **about: Any) -> dict[str, Any]:
    times = [each.slowest_s for each in outcomes if each.slowest_s is not None]
    whole = len(times) == len(outcomes)
    return {
        "tool": tool.name,
        **about,
        "complete": outcomes[-1].complete,
        "seconds": _median(times) if whole else None,
        "wire_bytes": _median([float(each.wire_bytes) for each in outcomes]),
        "runs": [asdict(each) for each in outcomes],
    }


def speed(setup: Setup) -> Iterator[dict[str, Any]]:
    """One box, no rate limit: goodput, CPU seconds a GB on each side."""
    with Lab(1) as lab:
        for tool in setup.tools:
            what = setup.transfer(setup.large, 1, None)
            outcomes = _several(setup, lab, tool, what, 0.0, "one box, no limit")
            row = _row(tool, outcomes)
            gigabytes = what.image.stat().st_size / 1e9
            good = [each for each in outcomes if each.slowest_s is not None]
            row["goodput_bps"] = gigabytes * 8e9 / row["seconds"] if row["seconds"] else None
            row["sender_cpu_s_per_gb"] = _median([each.sender_cpu_s / gigabytes for each in good])
            row["receiver_cpu_s_per_gb"] = _median([each.receiver_cpu_s / gigabytes for each in good])
            yield row


def cost(setup: Setup) -> Iterator[dict[str, Any]]:
    """One box at a rate that all can take: CPU seconds a GB on each side. Ours also from anywhere in the cycle.

    The tools take turns, so that what a machine does meanwhile is shared by all; who did not finish once is left out.
    """
    found: dict[tuple[str, str], list[Costs]] = {}
    chances = random.Random(COST_SEED)
    tools = [each for each in setup.tools if not each.is_server]
    with Lab(1) as lab:
        for run in range(setup.runs):
            for tool in tuple(tools):
                costs = _from_the_start(setup, lab, tool)
                if costs is None:
                    tools.remove(tool)
                else:
                    found.setdefault((tool.name, FROM_THE_START), []).append(costs)
            tuned_in = _tuned_in(setup, lab, (run + chances.random()) / setup.runs)
            if tuned_in is not None:
                found.setdefault((OURS.name, TUNED_IN), []).append(tuned_in)
    for (name, start), runs in found.items():
        senders = [sender for sender, _ in runs if sender is not None]
        yield {
            "tool": name,
            "start": start,
            "rate_bps": COST_BPS,
            "sender_cpu_s_per_gb": _median(senders),
            "receiver_cpu_s_per_gb": _median([receiver for _, receiver in runs]),
            "runs": runs,
        }


def _from_the_start(setup: Setup, lab: Lab, tool: Tool) -> Costs | None:
    """Return what both sides cost; None if it did not finish."""
    what = setup.transfer(setup.large, 1, COST_BPS)
    gigabytes = what.image.stat().st_size / 1e9
    outcome = transfer(lab, tool, what, 0.0, _limit_s(tool, what, 0.0))
    setup.tell(f"cost, {tool.name}: {_in_words(outcome)}")
    if outcome.slowest_s is None:
        return None
    return outcome.sender_cpu_s / gigabytes, outcome.receiver_cpu_s / gigabytes


def _tuned_in(setup: Setup, lab: Lab, cycle_share: float) -> Costs | None:
    """Return what our box costs that starts so far into a cycle of the carousel."""
    what = setup.transfer(setup.large, 0, COST_BPS)
    gigabytes = what.image.stat().st_size / 1e9
    at_s = cycle_share * CYCLE_IMAGES * gigabytes * 8e9 / COST_BPS
    outcome = transfer(lab, OURS, what, 0.0, _limit_s(OURS, what, 0.0), (at_s,))
    seconds = outcome.late_seconds[0]
    setup.tell(f"cost, {OURS.name} tuned in after {at_s:.1f} s: {seconds} s")
    return None if seconds is None else (None, outcome.late_receiver_cpu_s / gigabytes)


def overload(setup: Setup) -> Iterator[dict[str, Any]]:
    """Our box behind a carousel that is told ever higher rates: what goes on the wire, and how fast the image comes."""
    with Lab(1) as lab:
        for offered_bps in OFFERED_BPS:
            what = setup.transfer(setup.large, 1, offered_bps)
            row = _row(OURS, _several(setup, lab, OURS, what, 0.0, f"offered {offered_bps / 1e9:g} Gb/s"))
            seconds = row["seconds"]
            row["offered_bps"] = offered_bps
            row["wire_bps"] = row["wire_bytes"] * 8 / seconds if seconds else None
            row["goodput_bps"] = what.image.stat().st_size * 8 / seconds if seconds else None
            yield row


def loss(setup: Setup, box_counts: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    """100 Mb/s, each box losing on its own: time until all have it, bytes on the wire."""
    for boxes in box_counts:
        with Lab(boxes) as lab:
            for share in LOSSES:
                for tool in setup.tools:
                    what = setup.transfer(setup.small, boxes, RATE_BPS)
                    outcomes = _several(setup, lab, tool, what, share, f"{boxes} box(es), {share:.0%} loss")
                    yield _row(tool, outcomes, boxes=boxes, loss=share)


def late(setup: Setup) -> Iterator[dict[str, Any]]:
    """One box on time, three that come at shares of its time: which have the image, how long after they came."""
    with Lab(1 + len(LATE_AT)) as lab:
        for tool in setup.tools:
            what = setup.transfer(setup.small, 1, RATE_BPS)
            clean_s = transfer(lab, tool, what, 0.0, _limit_s(tool, what, 0.0)).slowest_s
            clean_s = clean_s or what.image.stat().st_size * 8 / RATE_BPS
            starts_s = tuple(share * clean_s for share in LATE_AT)
            outcome = transfer(lab, tool, what, 0.0, _limit_s(tool, what, 0.0), starts_s)
            setup.tell(f"late boxes, {tool.name}: {sum(each is not None for each in outcome.late_seconds)} of 3")
            yield {
                "tool": tool.name,
                "late": dict(zip(map(str, LATE_AT), outcome.late_seconds, strict=True)),
                "runs": [asdict(outcome)],
            }


def traffic(setup: Setup, box_counts: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    """What the head-end sends for so many boxes, without loss at 100 Mb/s, once each."""
    for boxes in box_counts:
        with Lab(boxes) as lab:
            for tool in setup.tools:
                what = setup.transfer(setup.small, boxes, RATE_BPS)
                outcome = transfer(lab, tool, what, 0.0, _limit_s(tool, what, 0.0))
                setup.tell(
                    f"{boxes} box(es), {tool.name}: {outcome.wire_bytes / 1e6:.1f} MB sent, {_in_words(outcome)}"
                )
                yield _row(tool, [outcome], boxes=boxes)
