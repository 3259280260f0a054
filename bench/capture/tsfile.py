"""Transport streams in files, as `headend ts` and multiplexers write them: packets without their times."""

from collections.abc import Iterator
from pathlib import Path

from carousel.batch import Batch
from carousel.errors import OperatorError
from carousel.ssu.transport import PACKET_BYTES, SYNC

__all__ = ["is_transport_stream", "read_transport_stream"]

PACKETS_AT_ONCE = 350
"""About half a second of an update service of a megabit a second."""


def is_transport_stream(path: Path) -> bool:
    """Say whether a file begins with two transport packets, or is a single one."""
    try:
        with path.open("rb") as file:
            begin = file.read(PACKET_BYTES + 1)
    except OSError as error:
        raise OperatorError(f"{path} can't be read: {error.strerror}") from None
    return len(begin) >= PACKET_BYTES and all(byte == SYNC for byte in begin[::PACKET_BYTES])


def read_transport_stream(path: Path, rate_bps: float) -> Iterator[tuple[float, Batch]]:
    """Yield its packets with the times that they have at this rate; a cut packet at the end is left out."""
    at_bytes = 0
    with path.open("rb") as file:
        while content := file.read(PACKETS_AT_ONCE * PACKET_BYTES):
            packets = len(content) // PACKET_BYTES
            if packets:
                yield at_bytes * 8 / rate_bps, Batch(memoryview(content), PACKET_BYTES, packets)
            at_bytes += len(content)
