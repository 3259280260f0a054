"""How much the network loses, seen from gaps in the transmit order (carousel/flute/interleave.py)."""

from collections.abc import Sequence

import numpy as np

from carousel.buffers import Bytes, IntArray
from carousel.flute.alc import PLAIN_HEADER_BYTES, split_payload_id
from carousel.flute.interleave import transmit_places
from carousel.release.blocks import ObjectGeometry
from carousel.take import Piece
from carousel.take.landing import PREFIX_BYTES

__all__ = ["LONGEST_GAP", "LossEstimate"]

SAMPLE_PACKETS = 256
"""So many packets in a row are looked at, of one wake-up or of several small ones ..."""
REST_SHARE = 1 / 4
"""... and then none, until such a share of what is known has gone by: a better estimate needs longer and longer,"""
MOST_REST_PACKETS = 4 * SAMPLE_PACKETS
"""and the loss of today may be another than yesterday's."""
LONGEST_GAP = 40
"""A larger step in transmit order is taken for a jump of the carousel, not for loss.

Bursts of Wi-Fi are shorter; what a cycle shuffles is longer (`headend.cast.wheel.CHUNK_PACKETS`, 44).
"""
LONGEST_DELAY = 20
"""Packets that were overtaken by no more than so many are in their place again before gaps are looked for."""
PAYLOAD_ID_OFFSET = 24


class LossEstimate:
    """Looks at samples of an image's packets, wanted or not: `lost` packets out of `expected`."""

    def __init__(self, geometry: ObjectGeometry, prefix: bytes) -> None:
        self._expected = 0
        self._lost = 0
        self._geometry = geometry
        self._prefix = np.frombuffer(prefix, dtype=np.uint8)
        self._stride = PLAIN_HEADER_BYTES + geometry.symbol_size
        self._heads: list[Bytes] = []
        self._seen = 0
        self._rest = 0

    @property
    def expected(self) -> int:
        """Packets that came, and those that the gaps between them tell of."""
        self._judge()
        return self._expected

    @property
    def lost(self) -> int:
        """Those of `expected` that did not come."""
        self._judge()
        return self._lost

    def look(self, flat: Bytes, pieces: Sequence[Piece], packets: int) -> None:
        """Look at a wake-up that brought so many packets of the image."""
        if self._rest > 0:
            self._rest -= packets
            return
        for offset, stride, size in pieces:
            count = min(size // stride, SAMPLE_PACKETS - self._seen)
            if stride == self._stride and count > 0:
                found = flat[offset : offset + count * stride].reshape(count, stride)
                self._heads.append(found[:, :PLAIN_HEADER_BYTES].copy())
                self._seen += count
        if self._seen >= SAMPLE_PACKETS:
            self._judge()
            self._heads.clear()
            self._seen, self._rest = 0, min(int(REST_SHARE * self._expected), MOST_REST_PACKETS)

    def _judge(self) -> None:
        """Count the gaps in what was seen in a row; the last packet is where it goes on."""
        if sum(map(len, self._heads)) < 2:
            return  # as a rule: it is asked for at every look around, and twice
        heads = np.concatenate(self._heads)
        places = self._places(heads)
        steps = np.diff(places)
        jumps = np.cumsum((steps < -LONGEST_DELAY) | (steps > LONGEST_GAP))
        runs = np.concatenate((np.zeros(min(1, places.size), dtype=np.int64), jumps))
        order = np.lexsort((places, runs))
        steps, is_one_run = np.diff(places[order]), np.diff(runs[order]) == 0
        near = steps[is_one_run & (steps > 0) & (steps <= LONGEST_GAP)]
        expected = int(near.sum())
        self._expected += expected
        self._lost += expected - near.size
        self._heads = [heads[-1:]]

    def _places(self, heads: Bytes) -> IntArray:
        heads = heads[(heads[:, :PREFIX_BYTES] == self._prefix).all(axis=1)]
        payload = heads[:, PAYLOAD_ID_OFFSET:].copy().view(">u4").reshape(-1).astype(np.int64)
        geometry = self._geometry
        sbn, esi = split_payload_id(payload, geometry.fec)
        in_range = sbn < geometry.blocks
        in_range &= esi < geometry.block_sizes[np.where(in_range, sbn, 0)] + geometry.repair_per_block
        return transmit_places(geometry, sbn[in_range], esi[in_range])
