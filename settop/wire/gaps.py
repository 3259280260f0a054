"""How much the network loses, seen from gaps in the transmit order (carousel/flute/interleave.py)."""

from collections.abc import Sequence

import numpy as np

from carousel.buffers import Bytes, IntArray
from carousel.flute.alc import PLAIN_HEADER_BYTES
from carousel.flute.interleave import transmit_places
from carousel.release.blocks import ObjectGeometry
from carousel.take import Piece
from carousel.take.landing import PREFIX_BYTES

__all__ = ["LossEstimate"]

SAMPLE_PACKETS = 256
"""So many packets in a row are looked at, of one wake-up or of several small ones ..."""
REST_PACKETS = SAMPLE_PACKETS
"""... and then none, until so many have gone by: enough to know the loss, too few to slow reception down."""
LONGEST_GAP = 16
"""A larger step in transmit order is taken for a jump of the carousel, not for loss."""
PAYLOAD_ID_OFFSET = 24


class LossEstimate:
    """Looks at samples of an image's packets, wanted or not: `lost` packets out of `expected`."""

    def __init__(self, geometry: ObjectGeometry, prefix: bytes, esi_bits: int) -> None:
        self.expected = 0
        self.lost = 0
        self._geometry = geometry
        self._prefix = np.frombuffer(prefix, dtype=np.uint8)
        self._esi_bits = esi_bits
        self._stride = PLAIN_HEADER_BYTES + geometry.symbol_size
        self._last_place: int | None = None
        self._seen = 0
        self._rest = 0

    def look(self, flat: Bytes, pieces: Sequence[Piece], packets: int) -> None:
        """Look at a wake-up that brought so many packets of the image."""
        if self._rest > 0:
            self._rest -= packets
            return
        places = self._places(flat, self._sample(pieces))
        self._seen += packets
        before = [] if self._last_place is None else [self._last_place]
        steps = np.diff(np.concatenate([np.array(before, dtype=np.int64), places]))
        near = steps[(steps > 0) & (steps <= LONGEST_GAP)]
        self.expected += int(near.sum())
        self.lost += int(near.sum()) - near.size
        self._last_place = int(places[-1]) if len(places) == packets else None
        if self._seen >= SAMPLE_PACKETS:
            self._last_place, self._seen, self._rest = None, 0, REST_PACKETS

    def _sample(self, pieces: Sequence[Piece]) -> IntArray:
        """Return where the first packets of the right size lie."""
        found: list[int] = []
        for offset, stride, size in pieces:
            room = SAMPLE_PACKETS - len(found)
            if stride == self._stride and room > 0:
                found += range(offset, offset + min(size // stride, room) * stride, stride)
        return np.array(found, dtype=np.int64)

    def _places(self, flat: Bytes, offsets: IntArray) -> IntArray:
        heads = flat[offsets[:, None] + np.arange(PLAIN_HEADER_BYTES)]
        heads = heads[(heads[:, :PREFIX_BYTES] == self._prefix).all(axis=1)]
        payload = heads[:, PAYLOAD_ID_OFFSET:].copy().view(">u4").reshape(-1).astype(np.int64)
        sbn, esi = payload >> self._esi_bits, payload & ((1 << self._esi_bits) - 1)
        geometry = self._geometry
        in_range = sbn < geometry.blocks
        in_range &= esi < geometry.block_sizes[np.where(in_range, sbn, 0)] + geometry.repair_per_block
        return transmit_places(geometry, sbn[in_range], esi[in_range])
