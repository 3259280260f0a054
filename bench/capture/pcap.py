"""Carousels in pcap files: written as raw IP, read in whatever framing Scapy knows."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scapy.error import Scapy_Exception
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw
from scapy.utils import PcapReader, RawPcapWriter

from carousel.batch import MAX_BATCH_PACKETS, MAX_UDP_PAYLOAD_BYTES, Batch
from carousel.console.endpoint import Endpoint
from carousel.errors import OperatorError

__all__ = ["Captured", "CarouselWriter", "batches_of", "read_carousel"]

LINKTYPE_RAW = 101
SOURCE_PORT = 5077
UNKNOWN_SOURCE = {False: "0.0.0.0", True: "::"}


@dataclass(frozen=True, slots=True)
class Captured:
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
    """Yield the UDP payloads to multicast groups in a capture, those to `port` if given."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise OperatorError(f"{path} can't be read: {error.strerror}") from None
    with file:
        try:
            reader = PcapReader(file)  # type: ignore[arg-type]  # an open file is taken, too
        except Scapy_Exception:
            raise OperatorError(f"{path} can't be read: it is no capture of tcpdump's or `bootbench capture`") from None
        for packet in reader:
            if UDP not in packet or (port is not None and packet[UDP].dport != port):
                continue
            network = packet.getlayer(IP) or packet.getlayer(IPv6)
            if network is None:
                continue
            payload = bytes(packet[UDP].payload)[: max(0, packet[UDP].len - 8)]
            if payload:
                yield Captured(float(packet.time), network.dst, packet[UDP].dport, payload)


def batches_of(captured: Iterator[Captured]) -> Iterator[tuple[float, Batch]]:
    """Put packets of one time and size together again."""
    for (time_s, size), same in itertools.groupby(captured, key=lambda each: (each.time_s, len(each.payload))):
        at_once = max(1, min(MAX_BATCH_PACKETS, MAX_UDP_PAYLOAD_BYTES // size))
        while payloads := [each.payload for each in itertools.islice(same, at_once)]:
            yield time_s, Batch(memoryview(b"".join(payloads)), size, len(payloads))
