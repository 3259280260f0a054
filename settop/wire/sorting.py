"""Packets that no target knows, sorted by a look at their first 24 bytes: whole columns, no packet is parsed.

A flood can consist of these alone, so what is not worth more than a count must cost no more. Only `odd` packets (other
header extensions, flags, sizes) need the declared format; an allowance limits them.
"""

import numpy as np

from carousel.buffers import Bytes, IntArray
from carousel.flute.alc import PLAIN_FLAGS, PLAIN_HEADER_BYTES, PLAIN_HEADER_WORDS, Extension
from carousel.flute.toi import BULLETIN_TOI, FDT_TOI, HEADER_TOI_OFFSET, RESERVED_BASE, base_of_toi
from carousel.frozen import Frozen
from carousel.release.header import HEADER_BYTES
from carousel.release.limits import MIN_SYMBOL_BYTES

__all__ = ["Sorted", "sort_packets"]

HEAD_BYTES = 24
PLAIN_EXTENSION = Extension.CRC << 24 | 2 << 16
ANNOUNCEMENT_BYTES = PLAIN_HEADER_BYTES + HEADER_BYTES


class Sorted(Frozen):
    """Indices into the packets that were sorted, each in the order of arrival; and those packets' TOIs."""

    toi: IntArray
    foreign: IntArray
    """Of another session (TSI)."""
    fdt: IntArray
    bulletins: IntArray
    announcements: IntArray
    symbols: IntArray
    """Plain data packets of some release."""
    odd: IntArray


def sort_packets(flat: Bytes, packets: IntArray, tsi: int) -> Sorted:
    """Sort packets (n, 2), offset and size each, of the session `tsi`."""
    offsets, sizes = packets[:, 0], packets[:, 1]
    fits = sizes >= PLAIN_HEADER_BYTES
    heads = flat[np.where(fits, offsets, 0)[:, None] + np.arange(HEAD_BYTES)] if fits.any() else None
    if heads is None:
        none = np.empty(0, dtype=np.int64)
        return Sorted(np.zeros(len(packets), dtype=np.int64), none, none, none, none, none, np.arange(len(packets)))
    words = np.ascontiguousarray(heads).view(">u4").astype(np.int64)
    toi = words[:, 3]
    level = toi - base_of_toi(toi)
    lct = fits & (words[:, 0] >> 16 == PLAIN_FLAGS)
    ours = lct & (words[:, 2] == tsi)
    plain = ours & (words[:, 0] >> 8 == PLAIN_FLAGS << 8 | PLAIN_HEADER_WORDS)
    plain &= (words[:, 1] == 0) & (words[:, 4] == PLAIN_EXTENSION)
    base = base_of_toi(toi)
    is_header = plain & (sizes == ANNOUNCEMENT_BYTES) & (level == HEADER_TOI_OFFSET)
    is_symbol = plain & (level != HEADER_TOI_OFFSET) & (base != RESERVED_BASE)
    is_symbol &= sizes >= PLAIN_HEADER_BYTES + MIN_SYMBOL_BYTES
    is_fdt, is_bulletin, is_foreign = ours & (toi == FDT_TOI), plain & (toi == BULLETIN_TOI), lct & ~ours
    return Sorted(
        toi=toi,
        foreign=np.flatnonzero(is_foreign),
        fdt=np.flatnonzero(is_fdt),
        bulletins=np.flatnonzero(is_bulletin),
        announcements=np.flatnonzero(is_header),
        symbols=np.flatnonzero(is_symbol),
        odd=np.flatnonzero(~(is_foreign | is_fdt | is_bulletin | is_header | is_symbol)),
    )
