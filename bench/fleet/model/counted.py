"""Receivers by their marks alone: which symbols came when. No bytes are copied, checked, hashed or decoded.

While nobody forges, what a real receiver (real.py) does with bytes changes nothing that is asked here: symbols that
arrive intact are what was sent, and those that don't fail their CRC. When a box is done follows from the first arrival
of each symbol, of the announcement, and of the packets that prove the block digests:

    a block has K symbols ──► they decode, or one more is wanted (the codec is asked, with symbols of 8 zero bytes:
    and its digest is proven   whether they can be solved hangs on their numbers alone)
    all blocks decoded ──► the image is there

The same packets through the same links give the same times as real receivers (tests/bench/fleet/model/test_counted.py).
Boxes to which something else matters are named (`is_beyond`): those that hear more before the announcement than they
keep. Real receivers stand in for them.
"""

import numpy as np
from numpy.typing import NDArray

from bench.fleet.model.air import HEADER, Gather
from bench.link.traffic import Traffic
from carousel.fec import codec
from carousel.flute.releasefile import Release
from carousel.release.blocks import IntArray
from settop.wire.early import MAX_BYTES as EARLY_BYTES

__all__ = ["CountedBoxes", "worked_s"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
SMALLEST_SYMBOL_BYTES = 8


def worked_s(ripe_s: FloatArray, block_bytes: float, bytes_per_s: float | None) -> float:
    """Return when a box is done with blocks that are full at these times, one after the other."""
    if bytes_per_s is None or not np.isfinite(ripe_s).all():
        return float(ripe_s.max())
    done_s = 0.0
    for each_s in np.sort(ripe_s).tolist():
        done_s = max(done_s, each_s) + block_bytes / bytes_per_s
    return done_s


class CountedBoxes:
    """Boxes that want one release, each on in its spans (begin, end) of seconds.

    `verified_s`, `packets`, `received` (symbols of the image) and `is_beyond` have shape (boxes,).
    """

    def __init__(
        self, releases: tuple[Release, ...], number: int, spans_s: list[list[tuple[float, float]]], keeps_parts: bool,
        work_bytes_per_s: float | None = None,
    ) -> None:  # fmt: skip
        self._number, self._layout = number, releases[number].layout
        self._image = image = self._layout.objects[0]
        self._spans_s, self._keeps_parts, self._work = spans_s, keeps_parts, work_bytes_per_s
        boxes = len(spans_s)
        self._span = np.zeros(boxes, dtype=np.int64)
        self.start_s = np.array([each[0][0] for each in spans_s])
        self._begin_s, self._end_s = self.start_s.copy(), np.array([each[0][1] for each in spans_s])
        self._came_s = np.full((image.rows, boxes), np.inf)
        self._held = np.zeros((image.blocks, boxes), dtype=np.int64)
        self._header_s = np.full(boxes, np.inf)
        self._proofs = {place: index for index, place in enumerate(self._layout.urgent_symbols())}
        self._proof_s = np.full((len(self._proofs), boxes), np.inf)
        self._early_bytes = np.zeros(boxes, dtype=np.int64)
        self.is_waiting = np.ones(boxes, dtype=np.bool_)
        self.is_beyond = np.zeros(boxes, dtype=np.bool_)
        self.verified_s = np.full(boxes, np.inf)
        self.packets, self.received = np.zeros(boxes, dtype=np.int64), np.zeros(boxes, dtype=np.int64)
        self._sbn_of_row = image.symbols_of(np.arange(image.rows))[0]

    @property
    def efficiency(self) -> FloatArray:
        """Needed over received symbols."""
        needed = self._image.source_symbols
        return needed / np.maximum(self.received, needed)

    def hear(self, gather: Gather, traffic: Traffic) -> None:
        """Take what the links let through of some packets."""
        boxes = self.is_waiting
        while boxes.any():
            in_span = (traffic.due_s >= self._begin_s) & (traffic.due_s < self._end_s) & boxes
            if in_span.any():
                self._take(gather, traffic, in_span)
            boxes = boxes & self.is_waiting & (traffic.due_s[-1] >= self._end_s)
            self._cut_off(np.flatnonzero(boxes))

    def _cut_off(self, boxes: IntArray) -> None:
        """Let the power fail: what was heard before the announcement was in memory; parts are kept, or not."""
        forgets = boxes if not self._keeps_parts else boxes[np.isinf(self._header_s[boxes])]
        self._came_s[:, forgets] = np.inf
        self._held[:, forgets] = 0
        self._proof_s[:, forgets] = np.inf
        self._header_s[boxes] = np.inf
        self._early_bytes[boxes] = 0
        self._span[boxes] += 1
        for box in boxes.tolist():
            self._begin_s[box], self._end_s[box] = self._spans_s[box][self._span[box]]

    # --- packets in -------------------------------------------------------------------------------------

    def _take(self, gather: Gather, traffic: Traffic, in_span: BoolArray) -> None:
        copies = np.where(in_span, traffic.copies, 0)
        due_s = np.where((copies > 0) & (traffic.corrupt_bit < 0), traffic.due_s, np.inf)
        mine, is_image = gather.release == self._number, gather.level == 0
        self._count_early(gather, due_s)
        if (mine & (gather.level == HEADER)).any():
            self._header_s = np.minimum(self._header_s, due_s[mine & (gather.level == HEADER)].min(axis=0))
        for place in np.flatnonzero(mine & (gather.level > 0)).tolist():
            proof = self._proofs.get((int(gather.level[place]), int(gather.row[place])))
            if proof is not None:
                self._proof_s[proof] = np.minimum(self._proof_s[proof], due_s[place])
        symbols = np.flatnonzero(mine & is_image)
        if len(symbols):
            self._land(gather.row[symbols], due_s[symbols])
            self.received += copies[symbols].sum(axis=0, dtype=np.int64)
        self.packets += copies.sum(axis=0, dtype=np.int64)
        self._look(traffic, copies, symbols)

    def _count_early(self, gather: Gather, due_s: FloatArray) -> None:
        """See who hears more symbols before the announcement than it keeps, of whatever release."""
        unheard = np.isinf(self._header_s) & self.is_waiting
        if unheard.any():
            came = np.isfinite(due_s[gather.level >= 0][:, unheard]).sum(axis=0)
            self._early_bytes[unheard] += came * gather.size_bytes
            beyond = self.is_waiting & (self._early_bytes > EARLY_BYTES)
            self.is_beyond |= beyond
            self.is_waiting &= ~beyond

    def _land(self, rows: IntArray, due_s: FloatArray) -> None:
        """Note the first arrival of each symbol."""
        before_s = self._came_s[rows]
        fresh = np.isfinite(due_s) & np.isinf(before_s)
        if len(np.unique(rows)) == len(rows):
            self._came_s[rows] = np.minimum(before_s, due_s)
        else:  # an image so small that its symbols come round again among these
            np.minimum.at(self._came_s, rows, due_s)
            first = np.full((self._image.rows, fresh.shape[1]), len(rows))
            np.minimum.at(first, rows, np.where(fresh, np.arange(len(rows))[:, None], len(rows)))
            fresh &= first[rows] == np.arange(len(rows))[:, None]
        if self._image.blocks == 1:
            self._held[0] += fresh.sum(axis=0)
        else:
            np.add.at(self._held, self._sbn_of_row[rows], fresh)

    # --- who is done ------------------------------------------------------------------------------------

    def _look(self, traffic: Traffic, copies: NDArray[np.uint8], symbols: IntArray) -> None:
        full = (self._held >= self._image.block_sizes[:, None]).all(axis=0)
        for box in np.flatnonzero(self.is_waiting & full & np.isfinite(self._header_s)).tolist():
            ripe_s = self._ripe_s(box)
            if not np.isfinite(ripe_s).all():
                continue
            block_bytes = self._layout.objects[0].transfer_length / len(ripe_s)
            self.verified_s[box] = worked_s(ripe_s, block_bytes, self._work)
            self.is_waiting[box] = False
            after = traffic.due_s[:, box] > ripe_s.max()
            self.packets[box] -= copies[after, box].sum(dtype=np.int64)
            self.received[box] -= copies[symbols, box][after[symbols]].sum(dtype=np.int64)

    def _ripe_s(self, box: int) -> FloatArray:
        """Return when each block of the image is proven, infinity for not yet; it has symbols enough."""
        came_s, sizes = self._came_s[:, box].copy(), self._image.block_sizes
        known_s = max(float(self._header_s[box]), float(self._proof_s[:, box].max()), self._begin_s[box])
        source_s = came_s[: self._image.source_symbols]
        whole_s = max(float(source_s.max()), float(self._header_s[box]))
        if np.isinf(known_s) or whole_s < known_s:
            # Without digests, an image whose source symbols alone filled all blocks is proven whole.
            blocks = [came_s[self._image.block_rows(sbn)] for sbn in range(len(sizes))]
            only_source = all(
                np.sort(each)[size - 1] == each[:size].max() for each, size in zip(blocks, sizes.tolist(), strict=True)
            )
            if np.isfinite(whole_s) and only_source:
                return np.array([whole_s])
        if np.isinf(known_s):
            return np.array([np.inf])
        found = [_solved_s(came_s[self._image.block_rows(sbn)], int(size), known_s) for sbn, size in enumerate(sizes)]
        return np.array(found)


def _solved_s(came_s: FloatArray, size: int, known_s: float) -> float:
    """Return when a block is solved whose symbols came at these times, in ESI order; not before `known_s`."""
    chosen = np.argpartition(came_s, size - 1)[:size] if len(came_s) > size else np.arange(size)
    at_s = max(float(came_s[chosen].max()), known_s)
    while np.isfinite(at_s) and not _can_be_solved(chosen, size):
        # What came while the block wanted nothing is gone: one more is wanted from then on.
        later = np.where(came_s > at_s, came_s, np.inf)
        chosen = np.append(chosen, int(later.argmin()))
        at_s = float(later.min())
    return at_s


def _can_be_solved(esis: IntArray, size: int) -> bool:
    """Say whether these symbols determine the block."""
    held = np.zeros(size, dtype=np.bool_)
    held[esis[esis < size]] = True
    repair, missing = np.sort(esis[esis >= size]), np.flatnonzero(~held)
    if not len(missing):
        return True
    block, symbols = (np.zeros(count * SMALLEST_SYMBOL_BYTES, dtype=np.uint8) for count in (size, len(repair)))
    return codec().decode(block, SMALLEST_SYMBOL_BYTES, missing, symbols, np.arange(len(repair)), repair)
