"""The UDP payload in a captured frame, by looking at a few bytes: a large capture is read without dissecting it."""

import socket
import struct
from functools import lru_cache
from typing import NamedTuple

__all__ = ["LINKTYPE_RAW", "Datagram", "datagram_of"]

LINKTYPE_RAW = 101
_ETHERNET = 1
_NETWORK_AT = {LINKTYPE_RAW: 0, 12: 0, 14: 0, 228: 0, 229: 0, 0: 4, 108: 4, 113: 16, 276: 20}
"""Where the network layer begins, by link type (tcpdump.org/linktypes.html): raw IP, BSD loopback, cooked."""
_VLAN_TAGS = (0x8100, 0x88A8)
_MOST_TAGS = 4
_UDP, _FRAGMENT_BITS = 17, 0x3FFF
_PORTS_AND_SIZE = struct.Struct(">2xHH")
UDP_BYTES = 8


class Datagram(NamedTuple):
    """A UDP payload and where it was going; shorter than it was if the capture cut it."""

    group: str
    port: int
    payload: bytes


def datagram_of(link_type: int, frame: bytes) -> Datagram | None:
    """Return the UDP datagram in a frame; None for all else, for fragments, and for link types that are not known."""
    at = _after_ethernet(frame) if link_type == _ETHERNET else _NETWORK_AT.get(link_type)
    if at is None or len(frame) < at + 20:
        return None
    version = frame[at] >> 4
    if version == 4:
        begin = at + 4 * (frame[at] & 0xF)
        is_udp = frame[at + 9] == _UDP and not int.from_bytes(frame[at + 6 : at + 8], "big") & _FRAGMENT_BITS
        family, address = socket.AF_INET, frame[at + 16 : at + 20]
    else:
        begin = at + 40
        is_udp = version == 6 and len(frame) >= begin and frame[at + 6] == _UDP
        family, address = socket.AF_INET6, frame[at + 24 : at + 40]
    if not is_udp or len(frame) < begin + UDP_BYTES:
        return None
    port, size = _PORTS_AND_SIZE.unpack_from(frame, begin)
    payload = frame[begin + UDP_BYTES : begin + max(UDP_BYTES, size)]
    return Datagram(_as_text(family, address), port, payload) if payload else None


@lru_cache(maxsize=64)
def _as_text(family: int, address: bytes) -> str:
    return socket.inet_ntop(family, address)


def _after_ethernet(frame: bytes) -> int:
    """Return where the network layer begins behind VLAN tags; what it is, its own first byte says."""
    at = 12
    for _ in range(_MOST_TAGS):
        if int.from_bytes(frame[at : at + 2], "big") not in _VLAN_TAGS:
            break
        at += 4
    return at + 2
