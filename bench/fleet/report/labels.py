"""Where the names of lines go: beside their own line, on no other name, and over as few other lines as can be."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.fleet.report.svg import Frame

__all__ = ["Box", "Label", "place_labels", "points_along"]

FloatArray = NDArray[np.float64]
EM = 7.4
"""Pixels of a letter, with some room: browsers choose their own typeface."""
ABOVE, BELOW = 11.0, 4.0
ASIDE = 6.0
APART = 6.0
EVERY, NEAR, MOST_SHARED = 3, 10.0, 6
ROWS, ROW = (0, 1, -1, 2, -2, 3, 4, 5), 15.0
ON_NAME, ON_LINE, ON_ROW = 1000.0, 1.0, 4.0
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Label:
    """Where a name begins, or ends (`anchor`)."""

    x: float
    y: float
    anchor: str

    def box(self, words: str) -> Box:
        """Return (left, top, right, bottom)."""
        width = EM * len(words)
        left = self.x - (width if self.anchor == "end" else 0.0)
        return left, self.y - ABOVE, left + width, self.y + BELOW


def points_along(xs: FloatArray, ys: FloatArray) -> FloatArray:
    """Return points a few pixels apart along a line; shape (n, 2)."""
    way = np.append(0.0, np.cumsum(np.hypot(np.diff(xs), np.diff(ys))))
    at = np.arange(0.0, way[-1] + APART, APART)
    return np.stack([np.interp(at, way, xs), np.interp(at, way, ys)], axis=1)


def place_labels(
    lines: Sequence[FloatArray], names: Sequence[str], frame: Frame, written: Sequence[Box] = ()
) -> list[Label]:
    """Choose a place for each name along its line (points as from `points_along`), one after the other, not on what is
    `written` already.
    """
    found: list[Label] = []
    taken = [*written]
    for line, name in zip(lines, names, strict=True):
        others = np.concatenate([np.empty((0, 2)), *(each for each in lines if each is not line)])
        best, least = Label(float(line[-1, 0]), float(line[-1, 1]), "end"), np.inf
        for x, y in line[::-EVERY].tolist():
            shared = min(MOST_SHARED, int((np.abs(others - (x, y)).max(axis=1) < NEAR).sum()))
            for row in ROWS:
                for side, anchor in ((1, "start"), (-1, "end")):
                    label = Label(x + side * ASIDE, y + BELOW + row * ROW, anchor)
                    box = label.box(name)
                    if not _is_within(box, frame):
                        continue
                    cost = shared + abs(row) * ON_ROW + _cost(box, (line, others), taken)
                    if cost < least:
                        best, least = label, cost
        found.append(best)
        taken.append(best.box(name))
    return found


def _is_within(box: Box, frame: Frame) -> bool:
    return frame.left <= box[0] and frame.top - ROW <= box[1] and box[2] <= frame.right and box[3] <= frame.bottom


def _cost(box: Box, lines: tuple[FloatArray, FloatArray], taken: list[Box]) -> float:
    left, top, right, bottom = box
    own, others = (
        int(((each[:, 0] > left) & (each[:, 0] < right) & (each[:, 1] > top) & (each[:, 1] < bottom)).sum())
        for each in lines
    )
    on_name = sum(left < each[2] and each[0] < right and top < each[3] and each[1] < bottom for each in taken)
    return ON_LINE * (own + 4 * others) + ON_NAME * on_name
