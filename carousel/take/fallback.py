"""The take in NumPy: whole columns for what can be judged at once, a loop over the packets that pass."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from carousel.buffers import Buffer, Bytes, IntArray, as_bytes
from carousel.crc import crc32
from carousel.distinct import distinct
from carousel.take.landing import CAME_AGAIN, HELD, PREFIX_BYTES, Landing, Piece, Taken, Targets

__all__ = ["NumpyTaker"]

CRC_OFFSET = PREFIX_BYTES
PAYLOAD_ID_OFFSET = 24
SYMBOL_OFFSET = 28


class _Symbols(NamedTuple):
    """Packets of one target, in order: what their payload IDs say, and where they lie in the buffer."""

    sbn: IntArray
    esi: IntArray
    rows: IntArray
    offsets: IntArray


class _Tally:
    """What a take counts as it goes."""

    def __init__(self, targets: int) -> None:
        self.rows: list[list[int]] = [[] for _ in range(targets)]
        self.heard = [0] * targets
        self.unmatched: list[tuple[int, int]] = []
        self.filled: list[tuple[int, int]] = []
        self.duplicates = self.ignored = self.corrupt = self.out_of_range = self.no_room = 0

    def taken(self) -> Taken:
        return Taken(
            rows=tuple(np.array(rows, dtype=np.int64) for rows in self.rows),
            heard=tuple(self.heard),
            unmatched=np.array(self.unmatched, dtype=np.int64).reshape(-1, 2),
            filled=tuple(self.filled),
            duplicates=self.duplicates,
            ignored=self.ignored,
            corrupt=self.corrupt,
            out_of_range=self.out_of_range,
            no_room=self.no_room,
        )


class NumpyTaker:
    """Serves where the native core is missing."""

    name = "numpy"

    def take(self, targets: Targets, buffer: Buffer, pieces: Iterable[Piece] | IntArray) -> Taken:
        """Take the packets of all these pieces of the buffer (see `Taker`)."""
        flat = as_bytes(buffer)
        tally = _Tally(len(targets))
        numbers = [Piece(*map(int, piece)) for piece in pieces]
        if any(p.offset < 0 or p.stride < 1 or p.size < 0 or p.offset + p.size > len(flat) for p in numbers):
            raise ValueError(f"a piece lies outside of a buffer of {len(flat)} bytes")
        for offset, stride, size in numbers:
            whole = size // stride
            rows = flat[offset : offset + whole * stride].reshape(whole, stride)
            self._take_rows(targets, rows, offset, tally)
            if rest := size - whole * stride:
                tail = offset + whole * stride
                self._take_rows(targets, flat[tail : tail + rest].reshape(1, rest), tail, tally)
        return tally.taken()

    def _take_rows(self, targets: Targets, packets: Bytes, offset: int, tally: _Tally) -> None:
        count, stride = packets.shape
        owner = np.full(count, -1, dtype=np.int64)
        if stride >= SYMBOL_OFFSET:
            for index, target in enumerate(targets):
                if stride == SYMBOL_OFFSET + target.landing.geometry.symbol_size:
                    prefix = np.frombuffer(target.prefix, dtype=np.uint8)
                    owner[(packets[:, :PREFIX_BYTES] == prefix).all(axis=1)] = index
        tally.unmatched += [(offset + stride * int(i), stride) for i in np.flatnonzero(owner < 0)]
        for index in distinct(owner[owner >= 0]):
            mine = np.flatnonzero(owner == index)
            tally.heard[index] += len(mine)
            landing = targets.targets[index].landing
            symbols = _symbols_in_range(landing, packets[mine, :SYMBOL_OFFSET], mine, tally)
            if _take_at_once(landing, int(index), symbols, packets, tally):
                continue
            for sbn, esi, row, packet in zip(*(column.tolist() for column in symbols), strict=True):
                _take_symbol(landing, int(index), sbn, esi, row, packets[packet], tally)


def _symbols_in_range(landing: Landing, packets: Bytes, offsets: IntArray, tally: _Tally) -> _Symbols:
    payload = packets[:, PAYLOAD_ID_OFFSET:SYMBOL_OFFSET].copy().view(">u4").reshape(-1).astype(np.int64)
    sbn, esi = payload >> landing.esi_bits, payload & ((1 << landing.esi_bits) - 1)
    geometry = landing.geometry
    in_range = sbn < geometry.blocks
    in_range &= esi < landing.block_sizes[np.where(in_range, sbn, 0)] + geometry.repair_per_block
    tally.out_of_range += int(np.count_nonzero(~in_range))
    sbn, esi = sbn[in_range], esi[in_range]
    return _Symbols(sbn, esi, geometry.row_of(sbn, esi), offsets[in_range])


def _take_at_once(landing: Landing, target: int, symbols: _Symbols, packets: Bytes, tally: _Tally) -> bool:
    """Take them all by columns, if none gets in another's way; else do nothing and return False.

    That is: no row twice, all CRCs right, room for all, and no block filled before its last packet here.
    """
    is_wanted = landing.wanted[symbols.sbn] > 0
    is_fresh = is_wanted & (landing.held[symbols.rows] == 0)
    sbn, esi, rows, places = (column[is_fresh] for column in symbols)
    counts = np.bincount(sbn, minlength=landing.geometry.blocks)
    repeats = np.bincount(symbols.sbn[is_wanted & ~is_fresh], minlength=landing.geometry.blocks)
    is_repair = esi >= landing.block_sizes[sbn]
    repair_count = int(np.count_nonzero(is_repair))
    is_free_of_order = (counts + (repeats > 0) <= landing.wanted)[sbn].all() and len(distinct(rows)) == len(rows)
    if not is_free_of_order or repair_count > landing.free_count[0] or not _crcs_are_right(packets, places):
        return False
    tally.ignored += int(np.count_nonzero(~is_wanted))
    tally.duplicates += int(repeats.sum())
    landing.held[symbols.rows[is_wanted & ~is_fresh]] |= CAME_AGAIN
    landing.source[rows[~is_repair]] = packets[places[~is_repair], SYMBOL_OFFSET:]
    first = int(landing.free_count[0]) - repair_count
    slots = landing.free[first : first + repair_count][::-1]
    landing.repair[slots] = packets[places[is_repair], SYMBOL_OFFSET:]
    landing.slot_sbn[slots], landing.slot_esi[slots] = sbn[is_repair], esi[is_repair]
    landing.free_count[0] = first
    landing.held[rows] = HELD
    landing.wanted -= counts.astype(np.int32)
    repair_counts = np.bincount(sbn[is_repair], minlength=landing.geometry.blocks)
    landing.repair_held += repair_counts.astype(np.int32)
    landing.source_held += (counts - repair_counts).astype(np.int32)
    tally.filled += [(target, int(block)) for block in np.flatnonzero((counts > 0) & (landing.wanted == 0))]
    tally.rows[target] += rows.tolist()
    return True


def _crcs_are_right(packets: Bytes, places: IntArray) -> bool:
    """Say whether all these packets of one object, with one prefix, have the right CRC-32."""
    if not len(places):
        return True
    stride, view = packets.shape[1], packets.reshape(-1).data
    start = crc32(bytes(packets[places[0], :PREFIX_BYTES]))
    stated = packets[places, CRC_OFFSET:PAYLOAD_ID_OFFSET].copy().view(">u4").reshape(-1).tolist()
    ends = ((places + 1) * stride).tolist()
    skipped = stride - PAYLOAD_ID_OFFSET
    return all(crc32(view[end - skipped : end], start) == crc for end, crc in zip(ends, stated, strict=True))


def _take_symbol(landing: Landing, target: int, sbn: int, esi: int, row: int, packet: Bytes, tally: _Tally) -> None:
    is_repair = esi >= landing.block_sizes[sbn]
    if landing.wanted[sbn] <= 0:
        tally.ignored += 1
    elif landing.held[row]:
        landing.held[row] |= CAME_AGAIN
        tally.duplicates += 1
    elif is_repair and not landing.free_count[0]:
        tally.no_room += 1
    elif crc32(packet[CRC_OFFSET + 4 :], crc32(packet[:CRC_OFFSET])) != int(packet[CRC_OFFSET:][:4].view(">u4")[0]):
        tally.corrupt += 1
    else:
        if is_repair:
            _take_repair(landing, sbn, esi, packet[SYMBOL_OFFSET:])
        else:
            landing.source[row] = packet[SYMBOL_OFFSET:]
            landing.source_held[sbn] += 1
        landing.held[row] = HELD
        landing.wanted[sbn] -= 1
        if landing.wanted[sbn] == 0:
            tally.filled.append((target, sbn))
        tally.rows[target].append(row)


def _take_repair(landing: Landing, sbn: int, esi: int, symbol: Bytes) -> None:
    landing.free_count[0] -= 1
    slot = int(landing.free[landing.free_count[0]])
    landing.repair[slot] = symbol
    landing.slot_sbn[slot] = sbn
    landing.slot_esi[slot] = esi
    landing.repair_held[sbn] += 1
