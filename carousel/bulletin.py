"""The bulletin: what a head-end has decided about its releases, signed, beside every announcement (docs/rollout.md).

It is signed by a key of its own that is online; boxes trust it for bulletins alone. Who steals it can stop a roll-out,
never make a box boot anything. One packet, little-endian, on whatever transport:

     0  magic "BCBL"                     24  key id, 8 bytes
     4  layout = 1, size                 32  part, parts, releases, gate state
     8  epoch: of the decisions          36  gate: tick, N ticks, chain (16), value (32)
    16  issued, unix milliseconds        92  releases, 88 bytes each; then CRC-32, Ed25519 signature (64)

     0  release id   16 salt   24 threshold   28 sample threshold   32 flags, reply spread, report address   56  why

A release is for the boxes whose draw (`Draw.of`, from salt and box id) is not above `threshold`; one that no bulletin
names is for all. `issued` grows with every signature, `epoch` only with decisions.
"""

import hashlib
import struct
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, NamedTuple, Self

from carousel.crc import crc32
from carousel.errors import FormatError
from carousel.frozen import Frozen
from carousel.gate import CHAIN_ID_BYTES, VALUE_BYTES, GateState, GateView
from carousel.printable import printable
from carousel.records import Bytes, Const, Number, Record
from carousel.release.header import key_id
from carousel.release.identity import RELEASE_ID_BYTES, ReleaseId

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

__all__ = [
    "ALL",
    "MAX_BULLETIN_BYTES",
    "MAX_PARTS",
    "MAX_STAGES",
    "SALT_BYTES",
    "WHY_BYTES",
    "Bulletin",
    "Claim",
    "Draw",
    "ReportTo",
    "Stage",
    "claim_of",
    "is_signed_by",
    "threshold_of",
]

ALL = 0xFFFFFFFF
"""The threshold that takes in every box."""
SALT_BYTES = 8
WHY_BYTES = 32
SIGNATURE_BYTES = 64
_CRC_BYTES = 4
_HALTED = 1
MAX_PARTS = 16

HeadFormat = Record(
    "<",
    magic=Const(b"BCBL", 4),
    layout=Const(1, 2),
    size=Number(2),
    epoch=Number(8),
    issued_unix_ms=Number(8),
    key_id=Bytes(8),
    part=Number(1),
    parts=Number(1),
    stages=Number(1),
    gate_state=Number(1),
    gate_tick=Number(4),
    gate_ticks=Number(4),
    gate_chain=Bytes(CHAIN_ID_BYTES),
    gate_value=Bytes(VALUE_BYTES),
)
StageFormat = Record(
    "<",
    release=Bytes(RELEASE_ID_BYTES),
    salt=Bytes(SALT_BYTES),
    threshold=Number(4),
    sample_threshold=Number(4),
    flags=Number(1),
    reserved=Const(0, 1),
    spread_s=Number(2),
    report_port=Number(2),
    reserved2=Const(0, 2),
    report_address=Bytes(16),
    why=Bytes(WHY_BYTES),
)
HEAD_BYTES, STAGE_BYTES, TAIL_BYTES = 92, 88, _CRC_BYTES + SIGNATURE_BYTES
assert (HeadFormat.sizeof(), StageFormat.sizeof()) == (HEAD_BYTES, STAGE_BYTES)
MAX_STAGES = 12
"""Releases in one bulletin; more take several, whose parts are numbered."""
MAX_BULLETIN_BYTES = HEAD_BYTES + MAX_STAGES * STAGE_BYTES + TAIL_BYTES
assert MAX_BULLETIN_BYTES <= 1256, "one datagram on every transport: a section of seven transport packets"


class Draw(NamedTuple):
    """A box's place in a roll-out: both numbers are even over 0 .. 2^32 - 1, and independent."""

    cohort: int
    sample: int

    @classmethod
    def of(cls, salt: bytes, box_id: str) -> Self:
        """Draw a box's place from the first 8 bytes of SHA-256(salt, box id)."""
        return cls(*struct.unpack("<II", hashlib.sha256(salt + box_id.encode()).digest()[:8]))


def threshold_of(share: float) -> int:
    """Return the threshold that takes in this share of boxes, 0 to 1; 0 still takes one in 2^32."""
    return max(0, min(ALL, round(share * 2**32) - 1))


class ReportTo(Frozen):
    """Where sampled boxes report, if they were told at `init` that they may; `spread_s` is how late at most."""

    address: IPv4Address | IPv6Address
    port: int
    sample_threshold: int = 0
    spread_s: int = 10


class Stage(Frozen):
    """How far a release may go."""

    release: ReleaseId
    threshold: int = ALL
    salt: bytes = bytes(SALT_BYTES)
    is_halted: bool = False
    why: str = ""
    """Said by whoever decided, in at most `WHY_BYTES` of UTF-8; longer ones are cut."""
    report_to: ReportTo | None = None

    @property
    def share(self) -> float:
        """The share of boxes that it is for."""
        return (self.threshold + 1) / 2**32

    def is_for(self, box_id: str) -> bool:
        """Say whether a box is in the cohort, halted or not. Who has no id is in the last one."""
        if not box_id:
            return self.threshold == ALL
        return Draw.of(self.salt, box_id).cohort <= self.threshold

    def build(self) -> bytes:
        """Return the 88 bytes; `ValueError` if a field won't fit."""
        to = self.report_to
        return StageFormat.build(
            {
                "release": self.release.digest,
                "salt": self.salt,
                "threshold": self.threshold,
                "sample_threshold": to.sample_threshold if to else 0,
                "flags": _HALTED if self.is_halted else 0,
                "spread_s": to.spread_s if to else 0,
                "report_port": to.port if to else 0,
                "report_address": _packed(to.address) if to else bytes(16),
                "why": _cut(self.why).ljust(WHY_BYTES, b"\0"),
            }
        )

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read 88 bytes; what is said for people only may be anything."""
        fields = StageFormat.parse(raw)
        address = IPv6Address(fields.report_address)
        to = None
        if fields.report_port:
            to = ReportTo(address.ipv4_mapped or address, fields.report_port, fields.sample_threshold, fields.spread_s)
        why = printable(fields.why.rstrip(b"\0").decode(errors="backslashreplace"))
        release, is_halted = ReleaseId(fields.release), bool(fields.flags & _HALTED)
        return cls(release, fields.threshold, fields.salt, is_halted, why, to)


class Claim(NamedTuple):
    """What a bulletin says of itself before anybody has checked its signature."""

    key_id: bytes
    epoch: int
    issued_unix_ms: int
    part: int

    @property
    def age(self) -> tuple[int, int]:
        """Order of bulletins of one key, the newest highest."""
        return self.epoch, self.issued_unix_ms


def claim_of(raw: bytes) -> Claim:
    """Read what tells an old bulletin, or a stranger's, from a new one; `FormatError` where it is none. Cheap."""
    if not HEAD_BYTES + TAIL_BYTES <= len(raw) <= MAX_BULLETIN_BYTES:
        raise FormatError("bulletin_size")
    try:
        head = HeadFormat.parse(raw)
    except FormatError:
        raise FormatError("bulletin_fields") from None
    if head.size != len(raw) or head.size != HEAD_BYTES + head.stages * STAGE_BYTES + TAIL_BYTES:
        raise FormatError("bulletin_size")
    if not head.part < head.parts <= MAX_PARTS or head.gate_state > max(GateState):
        raise FormatError("bulletin_fields")
    if int.from_bytes(raw[-TAIL_BYTES:-SIGNATURE_BYTES], "little") != crc32(raw[:-TAIL_BYTES]):
        raise FormatError("bulletin_crc")
    return Claim(head.key_id, head.epoch, head.issued_unix_ms, head.part)


class Bulletin(Frozen):
    """Decisions about releases, and the gate. Several parts of one epoch are one set of decisions."""

    epoch: int
    issued_unix_ms: int
    stages: tuple[Stage, ...] = ()
    gate: GateView = GateView()
    part: int = 0
    parts: int = 1

    def sign(self, key: "Ed25519PrivateKey") -> bytes:
        """Return the packet; `ValueError` if a field won't fit."""
        if len(self.stages) > MAX_STAGES or not self.part < self.parts <= MAX_PARTS:
            raise ValueError(f"{len(self.stages)} releases in part {self.part} of {self.parts}")
        size = HEAD_BYTES + len(self.stages) * STAGE_BYTES + TAIL_BYTES
        head = HeadFormat.build(
            {
                "size": size,
                "epoch": self.epoch,
                "issued_unix_ms": self.issued_unix_ms,
                "key_id": key_id(key.public_key()),
                "part": self.part,
                "parts": self.parts,
                "stages": len(self.stages),
                "gate_state": self.gate.state,
                "gate_tick": self.gate.tick,
                "gate_ticks": self.gate.ticks,
                "gate_chain": self.gate.chain,
                "gate_value": self.gate.value,
            }
        )
        unsigned = head + b"".join(stage.build() for stage in self.stages)
        body = unsigned + crc32(unsigned).to_bytes(_CRC_BYTES, "little")
        return body + key.sign(body)

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a packet; checks everything but the signature. `FormatError` names what is wrong."""
        claim_of(raw)
        head = HeadFormat.parse(raw)
        places = range(HEAD_BYTES, HEAD_BYTES + head.stages * STAGE_BYTES, STAGE_BYTES)
        try:
            stages = tuple(Stage.parse(raw[at : at + STAGE_BYTES]) for at in places)
        except FormatError:
            raise FormatError("bulletin_fields") from None
        state = GateState(head.gate_state)
        gate = GateView(state, head.gate_chain, head.gate_ticks, head.gate_tick, head.gate_value)
        return cls(head.epoch, head.issued_unix_ms, stages, gate, head.part, head.parts)


def is_signed_by(raw: bytes, public_key: "Ed25519PublicKey") -> bool:
    """Say whether a packet carries a good signature by this key. Dear: about 0.1 ms, a board 1 ms."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  only who checks needs it

    try:
        public_key.verify(raw[-SIGNATURE_BYTES:], raw[:-SIGNATURE_BYTES])
    except InvalidSignature:
        return False
    return True


def _packed(address: IPv4Address | IPv6Address) -> bytes:
    return b"\0" * 10 + b"\xff\xff" + address.packed if address.version == 4 else address.packed


def _cut(text: str) -> bytes:
    """Cut a text to what fits, at a whole character."""
    return text.encode()[:WHY_BYTES].decode(errors="ignore").encode()
