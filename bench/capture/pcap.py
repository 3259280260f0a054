"""Carousels in pcap and pcapng files: written as raw IP, read packet by packet from files of any size."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from scapy.error import Scapy_Exception
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw
from scapy.utils import RawPcapReader, RawPcapWriter

from bench.capture.framing import LINKTYPE_RAW, datagram_of
from carousel.batch import MAX_BATCH_PACKETS, MAX_UDP_PAYLOAD_BYTES, Batch
from carousel.console.endpoint import Endpoint
from carousel.errors import OperatorError

__all__ = ["Captured", "CarouselWriter", "batches_of", "read_carousel"]

SOURCE_PORT = 5077
UNKNOWN_SOURCE = {False: "0.0.0.0", True: "::"}


class Captured(NamedTuple):
    """One UDP payload of a capture, with its time."""

    time_s: float
    group: str
    port: int
    payload: bytes


class CarouselWriter:
    """Writes what was heard. The source address is not known to a socket without rights: it is written as 0.0.0.0."""

    def __init__(self, path: Path, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._writer = RawPcapWriter(str(path), linktype=LINKTYPE_RAW)
        self._writer.write_header(None)
        self._heads: dict[int, bytes] = {}

    def write(self, batch: Batch, time_s: float) -> None:
        """Write a batch's packets, all with the time at which they were read."""
        seconds, fraction = divmod(time_s, 1)
        for row in range(batch.count):
            self._writer.write_packet(self._framed(batch.packet(row)), sec=int(seconds), usec=int(fraction * 1e6))

    def _framed(self, payload: bytes) -> bytes:
        """Put IP and UDP in front; over IPv4 they are the same for all packets of a size."""
        group, port = self._endpoint.group, self._endpoint.port
        udp = UDP(sport=SOURCE_PORT, dport=port)
        if self._endpoint.is_ipv6:
            return bytes(IPv6(src="::1", dst=group, hlim=1) / udp / Raw(payload))
        if len(payload) not in self._heads:
            udp.chksum = 0  # over IPv4: none
            framed = bytes(IP(src=UNKNOWN_SOURCE[False], dst=group, ttl=1) / udp / Raw(bytes(len(payload))))
            self._heads[len(payload)] = framed[: len(framed) - len(payload)]
        return self._heads[len(payload)] + payload

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()


def read_carousel(path: Path, port: int | None = None) -> Iterator[Captured]:
    """Yield the UDP payloads in a capture as they are read, those to `port` if given; nothing else is kept."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise OperatorError(f"{path} can't be read: {error.strerror}") from None
    with file:
        try:
            reader: Any = RawPcapReader(file)  # type: ignore[arg-type]  # an open file is taken, too; pcapng as well
        except Scapy_Exception:
            raise OperatorError(f"{path} can't be read: it is no capture of tcpdump's or `bootbench capture`") from None
        unit_s = 1e-9 if getattr(reader, "nano", False) else 1e-6
        for frame, about in reader:
            is_ng = hasattr(about, "tsresol")
            datagram = datagram_of(about.linktype if is_ng else reader.linktype, frame)
            if datagram is None or (port is not None and datagram.port != port):
                continue
            if is_ng:
                time_s = ((about.tshigh or 0) << 32 | (about.tslow or 0)) / about.tsresol
            else:
                time_s = about.sec + about.usec * unit_s
            yield Captured(time_s, *datagram)


def batches_of(captured: Iterable[Captured], within_s: float = 0.0) -> Iterator[tuple[float, Batch]]:
    """Put packets of one size together again that came within this time of the first of them, in their order."""
    waiting: list[Captured] = []
    for each in captured:
        if waiting:
            first, room = waiting[0], max(1, min(MAX_BATCH_PACKETS, MAX_UDP_PAYLOAD_BYTES // len(waiting[0].payload)))
            is_near = 0 <= each.time_s - first.time_s <= within_s
            if not is_near or len(each.payload) != len(first.payload) or len(waiting) == room:
                yield _batch_of(waiting)
                waiting = []
        waiting.append(each)
    if waiting:
        yield _batch_of(waiting)


def _batch_of(same: list[Captured]) -> tuple[float, Batch]:
    memory = memoryview(b"".join(each.payload for each in same))
    return same[0].time_s, Batch(memory, len(same[0].payload), len(same))
