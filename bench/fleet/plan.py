"""`bootbench plan`: the question turned round. What must the head-end send, that so many boxes boot in time?"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, NoReturn

import numpy as np
import typer

from bench.fleet.cli import progress_bar
from bench.fleet.model.chains import LossChain, chain_of_link
from bench.fleet.model.law import CompletionLaw, law_of
from bench.fleet.scenario.values import Carousel, ReleaseSpec
from bench.link.profiles import find_profile
from bench.link.spec import LinkSpec, parse_link
from carousel.console.quantities import (
    format_count,
    format_duration_s,
    format_rate_bps,
    parse_count,
    parse_duration_s,
    parse_rate_bps,
    parse_size_bytes,
)
from carousel.errors import OperatorError, UsageError
from carousel.flute.alc import PLAIN_HEADER_BYTES
from headend.link.sender import IP_UDP_BYTES

__all__ = ["Plan", "Question", "plan", "smallest_rate_bps", "time_to_image_s"]

STARTS = 6
STEP = 1.0015
BLOCK = 256
LONGEST = 200.0
"""A law is followed to so many times its ideal."""
TRIES = 14
CLOSE_ENOUGH = 0.005
MOST_RATE_BPS = 100e9
REPAIRS = (0.0, 0.1, 0.25, 0.5, 1.0)
NEARLY = 1.01
"""What is missed by more than this is not worth a search."""
INTERVALS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0)


@dataclass(frozen=True)
class Question:
    """What is asked: `quantile` of the boxes behind this link shall have the image within `deadline_s`."""

    image_bytes: int
    symbol_bytes: int
    link: LinkSpec
    chain: LossChain
    deadline_s: float
    quantile: float

    @property
    def line_bps(self) -> float:
        """The most that a carousel may take of the line, UDP payload."""
        payload = PLAIN_HEADER_BYTES + self.symbol_bytes
        return min(MOST_RATE_BPS, (self.link.rate_bps or math.inf) * payload / (payload + IP_UDP_BYTES[False]))


@dataclass(frozen=True)
class Plan:
    """What the head-end does."""

    rate_bps: float
    repair_ratio: float
    interval_s: float


def _law(question: Question, choice: Plan) -> CompletionLaw:
    release = ReleaseSpec("plan", question.image_bytes, choice.repair_ratio, question.symbol_bytes)
    carousel = Carousel(choice.rate_bps, choice.interval_s)
    return law_of(carousel, (release,), "plan", question.chain, question.link.delay_s)


@lru_cache(maxsize=512)
def time_to_image_s(question: Question, choice: Plan, share_late: float) -> float:
    """Return the time by which all but `share_late` of the boxes have the image, from any moment of power-on."""
    try:
        law = _law(question, choice)
    except OperatorError:  # announcements so often that the head-end would not do it
        return math.inf
    timeline = law.timeline
    # Announcements go by time: a step that is no multiple of theirs meets all of their phases.
    starts_s = (np.arange(STARTS) + 0.5) / STARTS * timeline.period_s + np.arange(STARTS) / STARTS * choice.interval_s
    begin_s = law.least_s
    while begin_s < law.least_s * LONGEST + 100 * choice.interval_s:
        times_s = np.geomspace(begin_s, begin_s * STEP ** (BLOCK - 1), BLOCK)
        late = np.mean([law.late(float(start_s), times_s) for start_s in starts_s], axis=0)
        if late[-1] <= share_late:
            return float(times_s[int(np.argmax(late <= share_late))])
        begin_s = float(times_s[-1])
    return math.inf


def smallest_rate_bps(
    question: Question, repair_ratio: float, interval_s: float, guess_bps: float | None = None
) -> float | None:
    """Return the smallest rate that meets the deadline, or None if none does that the line carries."""
    share_late = 1 - question.quantile
    packets = question.image_bytes / question.symbol_bytes * (question.symbol_bytes + PLAIN_HEADER_BYTES) * 8
    low, high = 0.0, question.line_bps
    rate_bps = min(high, guess_bps or packets / question.deadline_s * 1.02)
    for _ in range(TRIES):
        taken_s = time_to_image_s(question, Plan(rate_bps, repair_ratio, interval_s), share_late)
        if taken_s <= question.deadline_s:
            high = rate_bps
            if taken_s >= question.deadline_s * (1 - CLOSE_ENOUGH):
                break
        else:
            low = rate_bps
        if high - low < CLOSE_ENOUGH * high:
            break
        if low == question.line_bps:
            return None
        # Times go with 1/rate, but for announcements: aim a little above, and stay between what is known.
        aim_bps = rate_bps * min(10.0, taken_s / question.deadline_s) * (1 + CLOSE_ENOUGH / 3)
        aim_bps = min(aim_bps, question.line_bps)
        rate_bps = aim_bps if low < aim_bps <= high else (low + high) / 2
    met_s = time_to_image_s(question, Plan(high, repair_ratio, interval_s), share_late)
    return high if met_s <= question.deadline_s else None


def _read_size(text: str) -> str:
    """Say what is wrong with a size before saying what is not given at all."""
    parse_size_bytes(text)
    return text


def plan(
    image_size: Annotated[str, typer.Option(help="64M, or 64Mi.", callback=_read_size)],
    deadline: Annotated[str, typer.Option(help="60s; from power-on to the verified image.")],
    boxes: Annotated[str, typer.Option(help="How many: says how long the last of them takes.")] = "1M",
    quantile: Annotated[float, typer.Option(help="The share that must be in time.")] = 0.9999,
    profile: Annotated[str | None, typer.Option(help="A link profile (bootbench link --list-profiles).")] = None,
    down: Annotated[str, typer.Option(help="A link in words, over the profile's: loss=1%,burst=4.")] = "",
    rate: Annotated[str | None, typer.Option(help="Given the rate, find the best repair and interval.")] = None,
    symbol_size: Annotated[int, typer.Option(help="T, in bytes.")] = 1440,
    margin: Annotated[
        str,
        typer.Option(
            help="In time with so much more loss or image, or less rate, each alone: 20% asks for rate / 0.8 or more."
        ),
    ] = "20%",
    profiles: Annotated[Path | None, typer.Option(help="More link profiles.")] = None,
) -> None:
    """Find the smallest rate, or the best repair ratio and announcement interval, that boots a fleet in time."""
    if not 0 < quantile < 1:
        raise UsageError(f"--quantile {quantile} is not between 0 and 1, such as 0.9999")
    link = parse_link(down, find_profile(profile, profiles).down if profile else None)
    chain = chain_of_link(link, "the link")
    if chain.mean >= 1:
        raise OperatorError("the link loses everything: no rate boots a box behind it")
    deadline_s = parse_duration_s(deadline)
    if not deadline_s:
        raise UsageError("--deadline 0 is met by nobody: give a time such as 60s")
    question = Question(parse_size_bytes(image_size), symbol_size, link, chain, deadline_s, quantile)
    share = _margin(margin)
    if rate is None:
        choice = _plan_rate(question, parse_count(boxes), share)
    else:
        choice = _plan_order(question, parse_count(boxes), parse_rate_bps(rate))
    _print_sensitivity(question, choice, share)
    _print_commands(question, choice)


def _margin(text: str) -> float:
    try:
        share = float(text.removesuffix("%")) / 100
    except ValueError:
        share = -1.0
    if not text.endswith("%") or not 0 <= share <= 0.9:
        raise UsageError(f"--margin {text!r} is not a share such as 20%, up to 90%")
    return share


def with_loss(question: Question, loss: float) -> Question:
    """Return the question with another mean loss: more bursts, as long as before."""
    chain = question.chain
    if chain.is_memoryless:
        return replace(question, chain=LossChain(0.0, 1.0, 0.0, 1 - loss))
    share = (loss - (1 - chain.k)) / (chain.k - chain.h)
    return replace(question, chain=replace(chain, p=min(1.0, chain.r * share / (1 - share))))


def surviving(question: Question, choice: Plan, margin: float) -> Plan:
    """Return the plan with a rate that stays in time where image or loss are larger, or the rate lower, by `margin`."""
    worlds = [
        replace(question, image_bytes=int(question.image_bytes * (1 + margin))),
        with_loss(question, min(0.99, question.chain.mean * (1 + margin))),
    ]
    rates = [choice.rate_bps / (1 - margin)]
    for world in worlds:
        found = smallest_rate_bps(world, choice.repair_ratio, choice.interval_s, choice.rate_bps * (1 + margin))
        rates.append(math.inf if found is None else found)
    rate_bps = max(rates)
    if rate_bps > question.line_bps:
        raise OperatorError(
            f"{format_rate_bps(choice.rate_bps)} boots the fleet in time, but nothing that the link carries does with "
            f"a margin of {margin:.0%}; allow more time, a smaller image, or --margin 0%"
        )
    return replace(choice, rate_bps=rate_bps)


def _search(question: Question, tell: Callable[[int, int], None]) -> dict[tuple[float, float], float | None]:
    """Return the smallest rate by (repair ratio, announcement interval); None where none will do."""
    rates: dict[tuple[float, float], float | None] = {}
    guess_bps: float | None = None
    total = len(REPAIRS) + len(INTERVALS_S) - 1
    for repair in REPAIRS:
        rates[repair, 0.25] = smallest_rate_bps(question, repair, 0.25, guess_bps)
        guess_bps = rates[repair, 0.25] if repair else None  # without repair it takes far more: no guide
        tell(len(rates), total)
    found = {key: each for key, each in rates.items() if each is not None}
    if not found:
        return rates
    repair = min(found, key=lambda key: (round(found[key] / 1e4), key[0]))[0]
    for interval_s in INTERVALS_S:
        if interval_s != 0.25:
            rates[repair, interval_s] = smallest_rate_bps(question, repair, interval_s, rates[repair, 0.25])
            tell(len(rates), total)
    return rates


def _plan_rate(question: Question, boxes: int, margin: float) -> Plan:
    best_s = _at_best_s(question)
    if best_s > question.deadline_s * NEARLY:
        _refuse(question, best_s)
    with progress_bar("plan") as tell:
        rates = _search(question, tell)
    found = {key: each for key, each in rates.items() if each is not None}
    if not found:
        _refuse(question, best_s)
    # A rate lower by half a percent is no reason for announcements twice as often.
    best_bps = min(found.values())
    chosen = max((key for key in found if found[key] <= best_bps * 1.005), key=lambda key: (key[1], -key[0]))
    choice = Plan(found[chosen], *chosen)
    rows = [
        (key, None if each is None else Plan(each, *key), key == chosen)
        for key, each in sorted(rates.items(), key=lambda item: (item[0][0], item[0][1]))
    ]
    _print_choices(question, boxes, rows, "smallest rate")
    if not margin:
        return choice
    safe = surviving(question, choice, margin)
    print(f"\nWith a margin of {margin:.0%}: {format_rate_bps(safe.rate_bps)}, not {format_rate_bps(choice.rate_bps)}.")
    return safe


def _plan_order(question: Question, boxes: int, rate_bps: float) -> Plan:
    if rate_bps > question.line_bps:
        raise OperatorError(
            f"a carousel of {format_rate_bps(rate_bps)} does not fit through the link, which carries "
            f"{format_rate_bps(question.line_bps)} of it"
        )
    share_late = 1 - question.quantile
    choices = [Plan(rate_bps, repair, 0.25) for repair in REPAIRS]
    repair = min(choices, key=lambda each: time_to_image_s(question, each, share_late)).repair_ratio
    choices += [Plan(rate_bps, repair, interval_s) for interval_s in INTERVALS_S if interval_s != 0.25]
    best_s = min(time_to_image_s(question, each, share_late) for each in choices)
    if best_s > question.deadline_s:
        raise OperatorError(
            f"{format_rate_bps(rate_bps)} boots {question.quantile:.6g} of the boxes within "
            f"{format_duration_s(best_s)} at best; allow that, or a higher rate (without --rate, the smallest is found)"
        )
    good = [each for each in choices if time_to_image_s(question, each, share_late) <= best_s * 1.005]
    choice = max(good, key=lambda each: (each.interval_s, -each.repair_ratio))
    choices.sort(key=lambda each: (each.repair_ratio, each.interval_s))
    rows = [((each.repair_ratio, each.interval_s), each, each == choice) for each in choices]
    _print_choices(question, boxes, rows, "rate")
    return choice


def _at_best_s(question: Question) -> float:
    """Return what takes least but for a fraction of a percent: all that the link carries, and repair for all losses."""
    plans = [Plan(question.line_bps, REPAIRS[-1], interval_s) for interval_s in (0.05, 0.25)]
    return min(time_to_image_s(question, each, 1 - question.quantile) for each in plans)


def _refuse(question: Question, best_s: float) -> NoReturn:
    """Say that nobody can meet this deadline, and what can be had."""
    raise OperatorError(
        f"no rate boots {question.quantile:.6g} of the boxes within {format_duration_s(question.deadline_s)}: at "
        f"{format_rate_bps(question.line_bps)}, all that the link carries, they take "
        f"{format_duration_s(best_s)}; allow more time, a smaller image, or a better link"
    )


def _print_choices(
    question: Question, boxes: int, rows: Sequence[tuple[tuple[float, float], Plan | None, bool]], rate_title: str
) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    title = (
        f"{question.image_bytes / 1e6:.4g} MB, mean loss {question.chain.mean:.3%}: {question.quantile:.6g} of boxes "
        f"within {format_duration_s(question.deadline_s)}"
    )
    head = ["repair", "announced every", rate_title, "p50", f"p{question.quantile * 100:.6g}"]
    table = Table("", *head, f"last of {format_count(boxes)}", title=title, title_justify="left")
    for (repair, interval_s), choice, is_best in rows:
        cells = [f"{repair:g}", format_duration_s(interval_s)]
        if choice is None:
            cells += ["none that the link carries", "", "", ""]
        else:
            shares = (0.5, 1 - question.quantile, 1 / boxes)
            times = [format_duration_s(time_to_image_s(question, choice, share)) for share in shares]
            cells += [format_rate_bps(choice.rate_bps), *times]
        table.add_row("best" if is_best else "", *cells, style="bold" if is_best else None)
    Console(width=120, markup=False).print(table)


def _print_sensitivity(question: Question, choice: Plan, margin: float) -> None:
    """Say what it costs if things are worse than thought."""
    share_late = 1 - question.quantile
    base_s = time_to_image_s(question, choice, share_late)

    mean, more = question.chain.mean, margin or 0.1
    larger = replace(question, image_bytes=int(question.image_bytes * (1 + more)))
    worse = {
        f"{more * 100:g} % more of the loss": (with_loss(question, mean * (1 + more)), choice),
        "1 % more loss": (with_loss(question, mean + 0.01), choice),
        "5 % more loss": (with_loss(question, mean + 0.05), choice),
        f"an image {more * 100:g} % larger": (larger, choice),
        f"{more * 100:g} % less rate": (question, replace(choice, rate_bps=choice.rate_bps * (1 - more))),
        "half the announcements": (question, replace(choice, interval_s=choice.interval_s * 2)),
    }
    print(
        f"\nBest: repair {choice.repair_ratio:g}, announced every {format_duration_s(choice.interval_s)}, "
        f"{format_rate_bps(choice.rate_bps)}: {format_duration_s(base_s)}. What it costs if there is"
    )
    for what, (asked, chosen) in worse.items():
        taken_s = time_to_image_s(asked, chosen, share_late)
        in_time = "in time" if taken_s <= question.deadline_s else "too late"
        print(f"  {what:24} {format_duration_s(taken_s):>9}  ({taken_s / base_s - 1:+.1%}, {in_time})")


def _print_commands(question: Question, choice: Plan) -> None:
    """Print the lines to copy."""
    rate = f"{math.ceil(choice.rate_bps / 1e5) / 10:g}M"
    symbol = "" if question.symbol_bytes == 1440 else f" --symbol-size {question.symbol_bytes}"
    print(
        "\nTo copy, with your own image, key, hardware, version and interface:\n"
        f"  headend pack IMAGE -o v1.release --key lab.key --hardware 00A1B2:7 --version 1.0.0 "
        f"--repair {choice.repair_ratio:g}{symbol}\n"
        f"  headend cast v1.release --interface eth0 --rate {rate} --announce-interval {_interval(choice.interval_s)}"
    )


def _interval(interval_s: float) -> str:
    """Write an interval as `headend cast --help` has it."""
    return f"{interval_s:g}s" if interval_s >= 1 else f"{interval_s * 1e3:g}ms"
