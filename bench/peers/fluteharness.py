"""flute-alc at both ends: `python -m bench.peers.fluteharness send IMAGE INTERFACE RATE`, `... receive FOLDER ...`."""

import select
import sys
import time
from pathlib import Path

from flute import receiver, sender

from carousel.batch import MAX_BATCH_PACKETS, Batch
from carousel.console.endpoint import Endpoint
from headend.link.sender import GroupSender
from settop.link.listener import GroupListener

ENDPOINT = Endpoint.parse("239.255.77.9:5079")
TSI = 9
SYMBOL_BYTES, BLOCK_SYMBOLS, PARITY_SYMBOLS = 1400, 60, 15


def send(image: Path, interface: str, rate_bps: float) -> None:
    """Render one pass, and send it for ever at the rate."""
    oti = sender.Oti.new_reed_solomon_rs28(SYMBOL_BYTES, BLOCK_SYMBOLS, PARITY_SYMBOLS)
    flute = sender.Sender(TSI, oti, sender.Config())
    flute.add_object_from_buffer(image.read_bytes(), "application/octet-stream", f"file:///{image.name}", None)
    flute.publish()
    packets = []
    while (packet := flute.read()) is not None:
        packets.append(bytes(packet))
    wire = GroupSender(ENDPOINT, interface)
    began_s, sent_bits = time.monotonic(), 0.0
    while True:
        for batch in _batches(packets):
            wire.send(batch)
            sent_bits += batch.count * batch.stride * 8
            ahead_s = sent_bits / rate_bps - (time.monotonic() - began_s)
            if ahead_s > 0.001:
                time.sleep(ahead_s)


def _batches(packets: list[bytes]) -> list[Batch]:
    """Put equal packets together, in order."""
    batches: list[Batch] = []
    begin = 0
    for at in range(1, len(packets) + 1):
        is_full = at - begin == min(MAX_BATCH_PACKETS, 40)
        if at == len(packets) or is_full or len(packets[at]) != len(packets[begin]):
            batches.append(Batch(memoryview(b"".join(packets[begin:at])), len(packets[begin]), at - begin))
            begin = at
    return batches


def receive(folder: Path, interface: str, size_bytes: int) -> None:
    """Push packets until a file of that size is there."""
    writer = receiver.ObjectWriterBuilder(str(folder))
    flute = receiver.Receiver(receiver.UDPEndpoint(ENDPOINT.group, ENDPOINT.port), TSI, writer, receiver.Config())
    listener = GroupListener(ENDPOINT, interface)
    print("listening", flush=True)
    while True:
        select.select([listener], [], [])
        for batch in listener.batches():
            for row in range(batch.count):
                flute.push(batch.packet(row))
        if any(path.stat().st_size == size_bytes for path in folder.iterdir() if path.is_file()):
            return


if __name__ == "__main__":
    _, mode, path, interface, *rest = sys.argv
    if mode == "send":
        send(Path(path), interface, float(rest[0]))
    else:
        receive(Path(path), interface, int(rest[0]))
