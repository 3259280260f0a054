"""Charts as SVG, of scales, axes, lines and areas: they print, scale and need nothing from elsewhere."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ROUND_TIMES_S", "Frame", "Scale", "TailScale", "area", "axes", "line", "text", "time_ticks", "time_unit",
]  # fmt: skip

FloatArray = NDArray[np.float64]
TENTH, STRAIGHT = 0.1, 0.5
"""Above this share a scale of shares is straight, on so much of its height."""
ROUND_TIMES_S = (
    *(digit * 10.0**power for power in range(-3, 1) for digit in (1, 2, 5)), 10.0, 20.0, 30.0,
    *(60.0 * each for each in (1, 2, 5, 10, 20, 30)), *(3600.0 * each for each in (1, 2, 5, 12)),
    *(86400.0 * each for each in (1, 2, 5, 10, 20)),
)  # fmt: skip
"""Times that people count in."""
UNITS = ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))


@dataclass(frozen=True)
class Scale:
    """Values from `low` to `high` on pixels from `begin` to `end`, linear or logarithmic."""

    low: float
    high: float
    begin: float
    end: float
    is_log: bool = False

    def __call__(self, values: FloatArray) -> FloatArray:
        """Return pixels."""
        if self.is_log:
            share = np.log(np.maximum(values, 1e-300) / self.low) / math.log(self.high / self.low)
        else:
            share = (values - self.low) / (self.high - self.low)
        pixels: FloatArray = self.begin + np.clip(share, -0.02, 1.02) * (self.end - self.begin)
        return pixels

    def at(self, value: float) -> float:
        """Return one value's pixel."""
        return float(self(np.array([value]))[0])


@dataclass(frozen=True)
class TailScale:
    """Shares from 1 down to `least` on pixels from `begin` to `end`: down to `TENTH` they go straight, so that half of
    all is half of all; below, each tenth of a tenth has as much room, so that the last boxes are seen, too.
    """

    least: float
    begin: float
    end: float

    @property
    def knee(self) -> float:
        """The pixel of `TENTH`."""
        return self.begin + (self.end - self.begin) * (STRAIGHT if self.least < TENTH else 1.0)

    def __call__(self, shares: FloatArray) -> FloatArray:
        """Return pixels."""
        above = self.begin + (1 - shares) / (1 - max(TENTH, self.least)) * (self.knee - self.begin)
        if self.least >= TENTH:
            return above
        depth = np.log(TENTH / np.maximum(shares, self.least)) / math.log(TENTH / self.least)
        pixels: FloatArray = np.where(shares >= TENTH, above, self.knee + depth * (self.end - self.knee))
        return pixels

    def at(self, value: float) -> float:
        """Return one share's pixel."""
        return float(self(np.array([value]))[0])


@dataclass(frozen=True)
class Frame:
    """The plotting area within a chart, in pixels."""

    left: float
    top: float
    right: float
    bottom: float


def time_unit(longest_s: float) -> tuple[float, str]:
    """Return the unit that a time axis is best read in."""
    return next(((unit_s, name) for unit_s, name in UNITS if longest_s >= 3 * unit_s), (1.0, "seconds"))


def time_ticks(low: float, high: float, is_log: bool) -> list[float]:
    """Return round values between two."""
    if is_log:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        steps = (1, 2, 5) if high / low < 2000 else (1,)
        return [step * 10.0**power for power in decades for step in steps if low <= step * 10.0**power <= high]
    rough = (high - low) / 6
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(each * power for each in (1, 2, 5, 10) if each * power >= rough)
    return [each * step for each in range(math.ceil(low / step), int(high / step + 1e-9) + 1)]


def text(x: float, y: float, words: str, anchor: str = "start", style: str = "") -> str:
    """Return words at a place."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {style}>{html.escape(words)}</text>'


def line(xs: FloatArray, ys: FloatArray, colour: str, dash: str = "", width: float = 2.0) -> str:
    """Return a line; gaps where a value is no number."""
    seen = np.isfinite(xs) & np.isfinite(ys)
    if not seen.any():
        return ""
    words, is_open = [], False
    for x, y, good in zip(xs.tolist(), ys.tolist(), seen.tolist(), strict=True):
        if good:
            words.append(f"{'L' if is_open else 'M'}{x:.1f} {y:.1f}")
        is_open = good
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<path d="{"".join(words)}" fill="none" stroke="{colour}" stroke-width="{width}"{dashes}/>'


def area(xs: FloatArray, lows: FloatArray, highs: FloatArray, tint: str) -> str:
    """Return the area between two lines."""
    points = [*zip(xs.tolist(), highs.tolist(), strict=True), *zip(xs[::-1].tolist(), lows[::-1].tolist(), strict=True)]
    return f'<polygon points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}" fill="{tint}"/>'


def axes(
    frame: Frame,
    x: Scale,
    y: Scale | TailScale,
    x_ticks: Sequence[tuple[float, str]],
    y_ticks: Sequence[tuple[float, str]],
) -> str:
    """Return a grid with its labels."""
    parts = []
    for value, label in x_ticks:
        at = x.at(value)
        parts.append(f'<path d="M{at:.1f} {frame.top}V{frame.bottom}" class="grid"/>')
        parts.append(text(at, frame.bottom + 16, label, "middle"))
    for value, label in y_ticks:
        at = y.at(value)
        parts.append(f'<path d="M{frame.left} {at:.1f}H{frame.right}" class="grid"/>')
        parts.append(text(frame.left - 7, at + 4, label, "end"))
    parts.append(f'<path d="M{frame.left} {frame.top}V{frame.bottom}H{frame.right}" class="axis"/>')
    return "".join(parts)
