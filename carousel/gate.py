"""The log-in gate: a hash chain whose values come to light one after another, and which turn a box has.

    x_N ──SHA-256──► x_(N-1) ──► ... ──► x_1 ──SHA-256──► x_0        made from the right end, x_N, which is a secret
                                                           ▲
    the air:  tick 0 tells x_0, tick 1 tells x_1, ...   ───┘          nobody can tell x_(t+1) from x_t

Who knows one value checks every later one by hashing it back: a check costs a hash for each tick that was missed. So
a tick needs no signature, nobody can bring a turn forward, and a replay shows only ticks that are past. A box's turn
comes with tick floor(u · (N - 1)) + 1, where u is drawn from the chain and the box's id. At tick N the chain is
exhausted, and admits nobody: who comes later waits for another chain, or for the gate to open.

    0  magic "BCTK"     4  layout = 1, zero     8  chain, 16 bytes     24  tick     28  value     60  CRC-32
"""

import hashlib
from enum import IntEnum
from typing import Self

from carousel.crc import crc32
from carousel.errors import FormatError
from carousel.frozen import Frozen
from carousel.records import Bytes, Const, Number, Record

__all__ = [
    "CHAIN_ID_BYTES",
    "LEAST_TICKS",
    "MOST_HASHES",
    "MOST_TICKS",
    "TICK_BYTES",
    "VALUE_BYTES",
    "GateState",
    "GateView",
    "Tick",
    "chain_id_of",
    "hashed",
    "turn_of",
]

VALUE_BYTES = 32
CHAIN_ID_BYTES = 16
LEAST_TICKS, MOST_TICKS = 1 << 16, 1 << 20
"""Few ticks would admit many at once; a chain is hashed whole when it begins, a second for a million."""
MOST_HASHES = 64
"""So many a tick may be ahead of what a box knows: what it missed, a bulletin makes up for."""


class GateState(IntEnum):
    """What the gate does. NONE: the head-end has none, and boxes log in as they come."""

    NONE = 0
    OPEN = 1
    HOLD = 2
    TICKING = 3


TickFormat = Record(
    "<",
    magic=Const(b"BCTK", 4),
    layout=Const(1, 2),
    reserved=Const(0, 2),
    chain=Bytes(CHAIN_ID_BYTES),
    tick=Number(4),
    value=Bytes(VALUE_BYTES),
    crc=Number(4),
)
TICK_BYTES = 64
assert TickFormat.sizeof() == TICK_BYTES


class GateView(Frozen):
    """The gate as a bulletin signs it: the newest tick, and its value; all zero where nothing ticks."""

    state: GateState = GateState.NONE
    chain: bytes = bytes(CHAIN_ID_BYTES)
    ticks: int = 0
    """N, how many the chain has."""
    tick: int = 0
    value: bytes = bytes(VALUE_BYTES)

    def admits(self, turn: int) -> bool:
        """Say whether a box with this turn (`turn_of`) may log in."""
        if self.state is GateState.TICKING:
            return turn <= self.tick < self.ticks
        return self.state in (GateState.NONE, GateState.OPEN)


class Tick(Frozen):
    """One value of a chain, unsigned: it proves itself by the values before it."""

    chain: bytes
    tick: int
    value: bytes

    def build(self) -> bytes:
        """Return the 64 bytes."""
        fields = {"chain": self.chain, "tick": self.tick, "value": self.value, "crc": 0}
        body: bytes = TickFormat.build(fields)[:-4]
        return body + crc32(body).to_bytes(4, "little")

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read 64 bytes; `FormatError` names what is wrong."""
        if len(raw) != TICK_BYTES:
            raise FormatError("tick_size")
        fields = TickFormat.parse(raw)
        if fields.crc != crc32(raw[:-4]):
            raise FormatError("tick_crc")
        return cls(fields.chain, fields.tick, fields.value)

    def follows(self, known: GateView) -> bool:
        """Say whether this is a later tick of the chain that is known: at most `MOST_HASHES` hashes."""
        ahead = self.tick - known.tick
        if self.chain != known.chain or not 0 < ahead <= MOST_HASHES or self.tick > known.ticks:
            return False
        return hashed(self.value, ahead) == known.value


def hashed(value: bytes, times: int) -> bytes:
    """Return the value that stands so many ticks before this one."""
    for _ in range(times):
        value = hashlib.sha256(value).digest()
    return value


def chain_id_of(first: bytes) -> bytes:
    """Name a chain by its value at tick 0."""
    return hashlib.sha256(b"bootcast chain" + first).digest()[:CHAIN_ID_BYTES]


def turn_of(chain: bytes, box_id: str, ticks: int) -> int:
    """Return the tick with which a box may log in, 1 to N - 1: the same for a box as long as the chain lasts."""
    drawn = int.from_bytes(hashlib.sha256(chain + box_id.encode()).digest()[:8], "big")
    return (drawn * max(1, ticks - 1) >> 64) + 1
