"""Packets that wait for their time, in slots: whole batches in, whole batches out."""

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bench.link.traffic import Counts, FloatMatrix, Traffic

__all__ = ["Calendar", "Departure"]

Rows = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Departure:
    """Packets of one size that leave now through one link, in order of their time; `rows` (n, size)."""

    link: int
    rows: Rows
    due_s: float


@dataclass(frozen=True, slots=True)
class _Waiting:
    rows: Rows
    packets: Counts
    links: Counts
    due_s: FloatMatrix
    bits: Counts


class Calendar:
    """Packets of one class of links by slot of `slot_s`: a packet leaves at the end of the slot of its due time."""

    def __init__(self, slot_s: float) -> None:
        self._slot_s = slot_s
        self._slots: dict[int, list[_Waiting]] = defaultdict(list)

    def add(self, rows: Rows, traffic: Traffic) -> None:
        """Take what is left of a batch; `rows` must be the caller's to give away."""
        packets, links = np.nonzero(traffic.copies)
        if traffic.copies.max(initial=0) > 1:
            copies = traffic.copies[packets, links]
            packets, links = np.repeat(packets, copies), np.repeat(links, copies)
        if not len(packets):
            return
        due_s = traffic.due_s[packets, links]
        bits = traffic.corrupt_bit[packets, links]
        slots = np.floor(due_s / self._slot_s).astype(np.int64)
        if slots[0] == slots[-1] and (slots == slots[0]).all():
            self._slots[int(slots[0])].append(_Waiting(rows, packets, links, due_s, bits))
            return
        for slot in np.unique(slots).tolist():
            mine = slots == slot
            self._slots[slot].append(_Waiting(rows, packets[mine], links[mine], due_s[mine], bits[mine]))

    def next_s(self) -> float | None:
        """Return when the next slot ends; None if nobody waits."""
        return (min(self._slots) + 1) * self._slot_s if self._slots else None

    def departures(self, now_s: float) -> list[Departure]:
        """Return what leaves now, link by link."""
        leaving: list[Departure] = []
        for slot in sorted(slot for slot in self._slots if (slot + 1) * self._slot_s <= now_s):
            leaving += _depart(self._slots.pop(slot))
        return leaving


def _depart(waiting: list[_Waiting]) -> list[Departure]:
    """Sort a slot's packets by link and time; packets of one batch and link stay together."""
    departures: list[Departure] = []
    for each in waiting:
        order = np.lexsort((each.due_s, each.links))
        links = each.links[order]
        is_whole = bool((each.bits < 0).all())
        bounds = [0, *(np.flatnonzero(np.diff(links)) + 1).tolist(), len(links)]
        for begin, end in pairwise(bounds):
            chosen = order[begin:end]
            rows = each.rows[each.packets[chosen]]
            if not is_whole:
                _flip(rows, each.bits[chosen])
            departures.append(Departure(int(links[begin]), rows, float(each.due_s[chosen[0]])))
    return departures if len(waiting) == 1 else _merged(departures)


def _flip(rows: Rows, bits: Counts) -> None:
    for row in np.flatnonzero(bits >= 0).tolist():
        rows[row, bits[row] // 8] ^= 1 << (bits[row] % 8)


def _merged(departures: list[Departure]) -> list[Departure]:
    """Put departures of one link and one packet size together, in order of their times."""
    by_kind: dict[tuple[int, int], list[Departure]] = defaultdict(list)
    for each in sorted(departures, key=lambda each: each.due_s):
        by_kind[each.link, each.rows.shape[1]].append(each)
    return [
        group[0] if len(group) == 1 else Departure(link, np.concatenate([each.rows for each in group]), group[0].due_s)
        for (link, _), group in by_kind.items()
    ]
