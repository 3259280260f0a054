"""A link in words, `rate=50M,queue=200ms,loss=1%,burst=4`, and what it means. One table says what each key may be."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from carousel.console.quantities import parse_rate_bps
from carousel.errors import OperatorError, UsageError

__all__ = ["LinkSpec", "format_link", "parse_link", "read_loss_trace", "read_rate_trace"]

_TIME = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s)")
_SHARE = re.compile(r"(\d+(?:\.\d+)?)(%?)")
_SCALE = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
LONGEST_S = 3600.0


@dataclass(frozen=True)
class LinkSpec:
    """One direction of a link. `ge` is (p, r, h, k), `four_state` (p13, p31, p32, p23, p14); None: not used."""

    rate_bps: float | None = None
    queue_s: float = 0.2
    delay_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0
    burst: float | None = None
    ge: tuple[float, float, float, float] | None = None
    four_state: tuple[float, float, float, float, float] | None = None
    loss_trace: tuple[tuple[int, int], ...] | None = None
    rate_trace_ms: tuple[int, ...] | None = None
    reorder: float = 0.0
    duplicate: float = 0.0
    corrupt: float = 0.0
    outages: tuple[tuple[float, float], ...] = ()

    @property
    def is_dead(self) -> bool:
        """Say whether nothing ever passes."""
        return self.loss >= 1.0

    @property
    def mean_loss(self) -> float:
        """The share of packets that is lost in the long run, corrupted ones among them."""
        lost = self.loss
        if self.ge is not None:
            p, r, h, k = self.ge
            lost = (r * (1 - k) + p * (1 - h)) / (p + r)
        elif self.four_state is not None:
            p13, p31, p32, p23, p14 = self.four_state
            # Steady state: 2 <-> 3 by p32 and p23, 3 -> 1 by p31, 4 -> 1 at once.
            of_good = p13 / p31 if p31 else math.inf
            within = of_good * p32 / p23 if p23 else 0.0
            lost = (of_good + p14) / (1 + of_good + within + p14) if math.isfinite(of_good) else 1.0
        elif self.loss_trace is not None:
            lost = sum(gone for _, gone in self.loss_trace) / sum(map(sum, self.loss_trace))
        return 1 - (1 - lost) * (1 - self.corrupt)


def _share(text: str) -> float:
    match = _SHARE.fullmatch(text)
    share = float(match[1]) / (100 if match[2] else 1) if match else -1.0
    if not 0 <= share <= 1:
        raise ValueError("a share from 0 to 1, or from 0% to 100%")
    return share


def _time(text: str) -> float:
    match = _TIME.fullmatch(text)
    if not match or float(match[1]) * _SCALE[match[2]] > LONGEST_S:
        raise ValueError("a time such as 20ms, 1.5s or 800us, up to an hour")
    return float(match[1]) * _SCALE[match[2]]


def _burst(text: str) -> float:
    try:
        burst = float(text)
    except ValueError:
        burst = 0.0
    if not 1 <= burst <= 10_000:
        raise ValueError("a mean burst length from 1 to 10000 packets")
    return burst


def _outages(text: str) -> tuple[tuple[float, float], ...]:
    spans = []
    for part in text.split("/"):
        begin, plus, length = part.partition("+")
        if not plus:
            raise ValueError("when and for how long, such as 10s+2s, several joined by /")
        spans.append((_time(begin), _time(length)))
    return tuple(spans)


def _rate(text: str) -> float:
    try:
        return parse_rate_bps(text)
    except OperatorError:
        raise ValueError("a rate in bit/s such as 128k, 50M or 1.5G") from None


KEYS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "rate": ("rate_bps", _rate),
    "queue": ("queue_s", _time),
    "delay": ("delay_s", _time),
    "jitter": ("jitter_s", _time),
    "loss": ("loss", _share),
    "burst": ("burst", _burst),
    "reorder": ("reorder", _share),
    "duplicate": ("duplicate", _share),
    "corrupt": ("corrupt", _share),
    "outage": ("outages", _outages),
}
GE_KEYS = ("p", "r", "1-h", "1-k")
"""In tc's words (tc-netem(8), `loss gemodel p r 1-h 1-k`): the last two are what the bad and the good state lose."""
GE_DEFAULTS = {"1-h": 1.0, "1-k": 0.0}
FOUR_STATE_KEYS = ("p13", "p31", "p32", "p23", "p14")
ALL_KEYS = [*KEYS, *GE_KEYS, *FOUR_STATE_KEYS, "losstrace"]


def parse_link(text: str, base: LinkSpec | None = None) -> LinkSpec:
    """Read a link string; `dead` loses everything. What it does not name stays as in `base`.

    Raises `OperatorError` that names the key and what it may be.
    """
    if text.strip() == "dead":
        return LinkSpec(loss=1.0)
    fields: dict[str, Any] = {}
    chances: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = part.partition("=")
        if key in ("h", "k"):
            raise UsageError(f"link {text!r}: write 1-{key}, what that state loses, as tc's gemodel does")
        if not equals or key not in ALL_KEYS:
            raise UsageError(f"link {text!r}: there is no {key!r}; there are {', '.join(ALL_KEYS)}")
        try:
            if key in KEYS:
                name, read = KEYS[key]
                fields[name] = read(value)
            elif key == "losstrace":
                fields["loss_trace"] = tuple(read_loss_trace(Path(value)))
            else:
                chances[key] = _share(value)
        except ValueError as error:
            raise UsageError(f"link {text!r}: {key}={value} is not {error}") from None
    spec = replace(base or LinkSpec(), **fields)
    return _checked(replace(spec, **_chains(text, chances)), text)


def _chains(text: str, chances: dict[str, float]) -> dict[str, Any]:
    """Return the Markov chain that single chances make up."""
    if not chances:
        return {}
    if set(chances) <= set(GE_KEYS):
        if not {"p", "r"} <= set(chances):
            raise UsageError(f"link {text!r}: Gilbert-Elliott needs p and r (1-h is 100% and 1-k is 0 unless given)")
        return {"ge": _gilbert_elliott(text, *((GE_DEFAULTS | chances)[key] for key in GE_KEYS))}
    if set(chances) <= set(FOUR_STATE_KEYS):
        whole = tuple(chances.get(key, 0.0) for key in FOUR_STATE_KEYS)
        p13, p31, p32, _, p14 = whole
        if p13 + p14 > 1 or p31 + p32 > 1:
            raise UsageError(f"link {text!r}: p13 + p14 and p31 + p32 may not pass 1")
        return {"four_state": whole}
    raise UsageError(f"link {text!r}: either p, r, h, k or p13, p31, p32, p23, p14, not both")


def _gilbert_elliott(
    text: str, p: float, r: float, bad_loss: float, good_loss: float
) -> tuple[float, float, float, float]:
    """Return (p, r, h, k); refuse a chain that stays where it is, and one whose bad state is the better one."""
    if not p or not r:
        raise UsageError(f"link {text!r}: with p or r 0 the link never leaves a state: use loss=")
    if bad_loss < good_loss:
        raise UsageError(f"link {text!r}: the bad state loses less (1-h) than the good one (1-k)")
    return p, r, 1 - bad_loss, 1 - good_loss


def _checked(spec: LinkSpec, text: str) -> LinkSpec:
    """Refuse what can't be together."""
    models = [spec.ge, spec.four_state, spec.loss_trace, spec.loss or None]
    too_much = spec.burst is not None and 0 < spec.loss < 1 and spec.loss / (spec.burst * (1 - spec.loss)) > 1
    problems = {
        "one loss model, please: loss (with burst), p and r, p13 to p14, or losstrace": (
            sum(model is not None for model in models) > 1
        ),
        "burst needs a loss between 0 and 1": spec.burst is not None and not 0 < spec.loss < 1,
        f"bursts of {spec.burst or 0:g} can't make up a loss of {spec.loss:.0%}; longer ones can": too_much,
        "reorder needs a delay: a reordered packet is one that skips it": bool(spec.reorder and not spec.delay_s),
        "jitter can't pass the delay": spec.jitter_s > spec.delay_s,
        "either a rate or a trace": spec.rate_bps is not None and spec.rate_trace_ms is not None,
    }
    for problem, is_so in problems.items():
        if is_so:
            raise UsageError(f"link {text!r}: {problem}")
    return spec


def format_link(spec: LinkSpec) -> str:
    """Write a link as `parse_link` reads it; `ValueError` for one with traces, which are files."""
    if spec.is_dead:
        return "dead"
    if spec.loss_trace is not None or spec.rate_trace_ms is not None:
        raise ValueError("a link with a trace has no short form")
    times = {"delay": spec.delay_s, "jitter": spec.jitter_s}
    shares = {"loss": spec.loss, "reorder": spec.reorder, "duplicate": spec.duplicate, "corrupt": spec.corrupt}
    parts = [f"{key}={share:.12f}" for key, share in shares.items() if share]
    if spec.rate_bps is not None:
        parts += [f"rate={spec.rate_bps:.3f}", f"queue={spec.queue_s:.9f}s"]
    parts += [f"{key}={time_s:.9f}s" for key, time_s in times.items() if time_s]
    if spec.burst is not None:
        parts.append(f"burst={spec.burst:g}")
    ge = spec.ge and (spec.ge[0], spec.ge[1], 1 - spec.ge[2], 1 - spec.ge[3])
    for keys, chances in ((GE_KEYS, ge), (FOUR_STATE_KEYS, spec.four_state)):
        parts += [f"{key}={chance:.12f}" for key, chance in zip(keys, chances or (), strict=False)]
    if spec.outages:
        parts.append("outage=" + "/".join(f"{begin:.6f}s+{length:.6f}s" for begin, length in spec.outages))
    return ",".join(parts)


def read_rate_trace(path: Path) -> tuple[int, ...]:
    """Read a Mahimahi trace: a millisecond on each line, not falling, one for every 1500 bytes that may leave."""
    try:
        times = tuple(int(line) for line in path.read_text().split())
    except (OSError, ValueError):
        raise OperatorError(f"{path} is no Mahimahi trace: one millisecond (a whole number) a line") from None
    if not times or times[-1] < 1 or any(later < earlier for earlier, later in pairwise(times)):
        raise OperatorError(f"{path} is no Mahimahi trace: its milliseconds must not fall, and end at 1 or later")
    return times


def read_loss_trace(path: Path) -> list[tuple[int, int]]:
    """Read a trace of loss runs: on each line how many packets pass, and how many are lost then."""
    try:
        lines = [line.split() for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
        runs = [(int(passed), int(lost)) for passed, lost in lines]
    except (OSError, ValueError):
        raise OperatorError(f"{path} is no loss trace: two numbers a line, packets passed and lost") from None
    if not runs or any(passed < 0 or lost < 0 for passed, lost in runs) or not 0 < sum(map(sum, runs)) <= 10_000_000:
        raise OperatorError(f"{path} is no loss trace: numbers from 0, in all 1 to 10 million packets")
    return runs
