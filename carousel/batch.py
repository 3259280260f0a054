"""A batch: equal packets that one system call sent or received (the shape of quinn's `Transmit`)."""

import numpy as np
from numpy.typing import NDArray

from carousel.frozen import Frozen

__all__ = ["MAX_BATCH_PACKETS", "MAX_UDP_PAYLOAD_BYTES", "Batch"]

MAX_BATCH_PACKETS = 64
"""UDP_MAX_SEGMENTS of the older kernels: the most segments that one GSO send may have."""

MAX_UDP_PAYLOAD_BYTES = 65507
"""The most bytes of one UDP datagram over IPv4, and so of one GSO send."""


class Batch(Frozen):
    """`count` packets of `stride` bytes each, one behind the other in `buffer`.

    `place` says where the same bytes lie in an open file, if they do: (descriptor, offset). The kernel can send
    them from there without copying.
    """

    buffer: memoryview
    stride: int
    count: int
    place: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.count < 1 or self.stride < 1 or len(self.buffer) < self.stride * self.count:
            raise ValueError(f"a batch of {self.count} x {self.stride} bytes over {len(self.buffer)} bytes")

    def as_rows(self) -> NDArray[np.uint8]:
        """Return the packets as an array (count, stride) of bytes, without copying."""
        flat = np.frombuffer(self.buffer, dtype=np.uint8, count=self.stride * self.count)
        return flat.reshape(self.count, self.stride)

    def packet(self, index: int) -> bytes:
        """Return one packet's bytes, copied: for the cold path."""
        return bytes(self.buffer[index * self.stride : (index + 1) * self.stride])
