"""The raw GSO→GRO figure: what the kernel carries between two processes when nobody looks at a packet."""

import os
import time

from carousel.batch import Batch
from carousel.console.endpoint import Endpoint
from headend.link.sender import GroupSender
from settop.link.listener import GroupListener

__all__ = ["raw_goodput_bps"]

PACKET_BYTES = 1468
BURST_PACKETS = 44


def raw_goodput_bps(endpoint: Endpoint, interface: str, size_bytes: int, symbol_share: float) -> float:
    """Send `size_bytes` of packets from a child process; return bit/s of symbols that arrive, dropped ones not."""
    listener = GroupListener(endpoint, interface)
    child = os.fork()
    if child == 0:
        sender = GroupSender(endpoint, interface)
        burst = Batch(memoryview(bytes(PACKET_BYTES * BURST_PACKETS)), PACKET_BYTES, BURST_PACKETS)
        for _ in range(size_bytes // (PACKET_BYTES * BURST_PACKETS)):
            sender.send(burst)
        os._exit(0)
    got_bytes, first_s, last_s = 0, 0.0, time.perf_counter()
    while time.perf_counter() - last_s < 0.3:
        for batch in listener.batches():
            last_s = time.perf_counter()
            first_s = first_s or last_s
            got_bytes += batch.count * batch.stride
    os.waitpid(child, 0)
    listener.close()
    return got_bytes * 8 * symbol_share / (last_s - first_s)
