"""Which queueing discipline an interface has, and whether it spaces packets: then the head-end wakes up seldom.

`fq` spaces each socket's packets at the rate that the socket names (SO_MAX_PACING_RATE); `tbf` spaces all that the
interface sends, at the rate that its operator gave it. Pure functions of what rtnetlink(7) answers.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

__all__ = ["KernelPacing", "Qdisc", "dump_request", "kernel_pacing", "parse_qdiscs"]

LEAD_S = 16e-3
"""How far ahead of the wire a head-end may be whose packets the kernel spaces."""
SHORTEST_LEAD_S = 2e-3
LONGEST_BURST_S = 1.5e-3
MOST_ABOVE_RATE = 1.5
"""A shaper far above the carousel's rate does not smooth it."""
FRAME_BYTES = 14
"""Ethernet's header, which queueing disciplines count, too."""

_NLM_F_REQUEST, _NLM_F_DUMP = 0x1, 0x300
_RTM_NEWQDISC, _RTM_GETQDISC, _NLMSG_DONE = 36, 38, 3
_TC_H_ROOT = 0xFFFFFFFF
_TCA_KIND, _TCA_OPTIONS, _TCA_TBF_PARMS, _TCA_TBF_RATE64 = 1, 2, 1, 4
_MESSAGE = struct.Struct("=IHHII")
"""struct nlmsghdr: length, type, flags, sequence, port."""
_TCMSG = struct.Struct("=BxxxiIII")
"""struct tcmsg: family, interface index, handle, parent, info."""
_TBF = struct.Struct("=8xI8xIIII")
"""struct tc_tbf_qopt: rate in byte/s, peak rate, limit in bytes, burst in ticks, MTU."""
_TICK_S = 64e-9
"""PSCHED_SHIFT of the kernel: a tick is 64 ns."""


@dataclass(frozen=True)
class Qdisc:
    """A queueing discipline of an interface; rate, limit and burst are those of `tbf`."""

    index: int
    handle: int
    parent: int
    kind: str
    rate_bps: float = 0.0
    limit_bytes: int = 0
    burst_s: float = 0.0


@dataclass(frozen=True)
class KernelPacing:
    """Who spaces packets, how far ahead it may be fed, and whether the socket must name the rate."""

    kind: str
    lead_s: float
    needs_rate: bool


def dump_request() -> bytes:
    """Return the message that asks for all queueing disciplines."""
    size = _MESSAGE.size + _TCMSG.size
    header = _MESSAGE.pack(size, _RTM_GETQDISC, _NLM_F_REQUEST | _NLM_F_DUMP, 1, 0)
    return header + _TCMSG.pack(0, 0, 0, 0, 0)


def parse_qdiscs(answer: bytes) -> tuple[list[Qdisc], bool]:
    """Return the queueing disciplines in a part of the answer, and whether it is the last part."""
    found: list[Qdisc] = []
    start = 0
    while start + _MESSAGE.size <= len(answer):
        size, kind, *_ = _MESSAGE.unpack_from(answer, start)
        if kind != _RTM_NEWQDISC or size < _MESSAGE.size:
            return found, True
        found.append(_parse_qdisc(answer[start + _MESSAGE.size : start + size]))
        start += -(-size // 4) * 4
    return found, False


def _parse_qdisc(body: bytes) -> Qdisc:
    _, index, handle, parent, _ = _TCMSG.unpack_from(body)
    attributes = dict(_attributes(body[_TCMSG.size :]))
    kind = attributes.get(_TCA_KIND, b"").rstrip(b"\0").decode(errors="replace")
    if kind != "tbf":
        return Qdisc(index, handle, parent, kind)
    options = dict(_attributes(attributes.get(_TCA_OPTIONS, b"")))
    rate, _, limit_bytes, burst_ticks, _ = _TBF.unpack(options[_TCA_TBF_PARMS].ljust(_TBF.size, b"\0")[: _TBF.size])
    if _TCA_TBF_RATE64 in options:
        rate = int.from_bytes(options[_TCA_TBF_RATE64], "little")
    return Qdisc(index, handle, parent, kind, rate * 8.0, limit_bytes, burst_ticks * _TICK_S)


def _attributes(raw: bytes) -> Iterator[tuple[int, bytes]]:
    start = 0
    while start + 4 <= len(raw):
        size, kind = struct.unpack_from("=HH", raw, start)
        if size < 4:
            return
        yield kind & 0x3FFF, raw[start + 4 : start + size]
        start += -(-size // 4) * 4


def kernel_pacing(qdiscs: Iterable[Qdisc], index: int, wire_rate_bps: float) -> KernelPacing | None:
    """Return how the interface spaces packets of this rate, Ethernet's header included; None where it does not."""
    mine = [each for each in qdiscs if each.index == index]
    leaves = [each for each in mine if each.parent == _TC_H_ROOT]
    if len(leaves) == 1 and leaves[0].kind == "mq":  # a network card with several queues
        leaves = [each for each in mine if each.parent >> 16 == leaves[0].handle >> 16 and each.parent & 0xFFFF]
    if leaves and all(each.kind == "fq" for each in leaves):
        return KernelPacing("fq", LEAD_S, needs_rate=True)
    if len(leaves) != 1 or leaves[0].kind != "tbf":
        return None
    shaper = leaves[0]
    lead_s = min(LEAD_S, shaper.limit_bytes * 8 / 2 / wire_rate_bps)
    fits = wire_rate_bps <= shaper.rate_bps <= MOST_ABOVE_RATE * wire_rate_bps
    if not fits or shaper.burst_s > LONGEST_BURST_S or lead_s < SHORTEST_LEAD_S:
        return None
    return KernelPacing("tbf", lead_s, needs_rate=False)
