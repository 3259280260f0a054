"""One transfer, timed: who has the image when, what went over the wire, what it cost."""

import hashlib
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.peers.namespaces import HEAD, Lab, Process
from bench.peers.tools import Tool, Transfer

__all__ = ["Outcome", "transfer"]

SETTLE_S = 1.2
"""What a server gets to be on the air, and what a box gets to listen, before the clock starts."""
READY_S = 120.0
CHILDREN_S = 0.5
POLL_S = 0.005


@dataclass(frozen=True)
class Outcome:
    """`seconds` of each box until it has a whole image, None: never; `late_seconds` the same from its own start."""

    seconds: tuple[float | None, ...]
    wire_bytes: int
    sender_cpu_s: float
    receiver_cpu_s: float
    late_seconds: tuple[float | None, ...] = field(default=())
    late_receiver_cpu_s: float = 0.0

    @property
    def complete(self) -> int:
        """How many boxes of those on time have the image."""
        return sum(each is not None for each in self.seconds)

    @property
    def slowest_s(self) -> float | None:
        """When the last box had it; None if one never did."""
        known = [each for each in self.seconds if each is not None]
        return max(known, default=None) if len(known) == len(self.seconds) else None


class _Box:
    """A box under way."""

    def __init__(self, lab: Lab, tool: Tool, what: Transfer, index: int) -> None:
        self.path = tool.received(what, index)
        self._stays = tool.receiver_stays
        self.process = Process(lab.box(index), tool.receive(what, index), what.work / f"box{index}.log")
        self.began_s = time.monotonic()
        self.had_it_s: float | None = None

    @property
    def is_settled(self) -> bool:
        """Look whether it has the image, or has given up: once, since it may end between two looks."""
        code = self.process.poll()
        if self.had_it_s is None and (code == 0 or self._stays) and self.path.is_file():
            self.had_it_s = time.monotonic()
        return self.had_it_s is not None or code is not None

    def seconds(self, began_s: float, digest: bytes) -> float | None:
        """Return how long it took, if what it has is right."""
        if self.had_it_s is None or _digest(self.path) != digest:
            return None
        return round(self.had_it_s - began_s, 4)


def transfer(
    lab: Lab, tool: Tool, what: Transfer, loss: float, limit_s: float, late_s: tuple[float, ...] = ()
) -> Outcome:
    """Send to `what.boxes` boxes, and to one more for each `late_s`, that many seconds after the others."""
    shutil.rmtree(what.work, ignore_errors=True)
    what.work.mkdir(parents=True)
    tool.prepare(Transfer(what.image, what.work, what.boxes + len(late_s), what.rate_bps))
    lab.set_loss(loss)
    lab.set_bottleneck(None if tool.paces_itself else what.rate_bps)
    running: list[Process] = []
    try:
        return _timed(lab, tool, what, limit_s, late_s, running)
    finally:
        for process in running:
            process.end()
        lab.set_loss(0.0)
        shutil.rmtree(what.work, ignore_errors=True)


def _timed(
    lab: Lab, tool: Tool, what: Transfer, limit_s: float, late_s: tuple[float, ...], running: list[Process]
) -> Outcome:
    boxes: list[_Box] = []

    def start_sender() -> Process:
        sender = Process(HEAD, tool.send(what), what.work / "sender.log")
        running.append(sender)
        return sender

    def start_box() -> None:
        boxes.append(_Box(lab, tool, what, len(boxes)))
        running.append(boxes[-1].process)

    sender = start_sender() if tool.is_server else None
    if sender is not None:
        _await_server(lab, tool)
    before = (lab.sent_bytes(), _cpu_s(sender), time.monotonic())
    for _ in range(what.boxes):
        start_box()
    if sender is None:
        _await_boxes(tool, [what.work / f"box{index}.log" for index in range(len(boxes))])
        before = (lab.sent_bytes(), 0.0, time.monotonic())
        sender = start_sender()
    _await_images(boxes, before[2], limit_s, late_s, start_box)
    wire_bytes = lab.sent_bytes() - before[0]
    if tool.is_server:
        time.sleep(CHILDREN_S)  # a server's children are in its account once it has looked after them
    sender_cpu_s = _cpu_s(sender) - before[1]
    for box in boxes:
        box.process.end()
    digest = _digest(what.image)
    on_time, late = boxes[: what.boxes], boxes[what.boxes :]
    return Outcome(
        tuple(box.seconds(before[2], digest) for box in on_time),
        wire_bytes,
        round(sender_cpu_s, 4),
        round(sum(box.process.cpu_s for box in on_time), 4),
        tuple(box.seconds(box.began_s, digest) for box in late),
        round(sum(box.process.cpu_s for box in late), 4),
    )


def _await_server(lab: Lab, tool: Tool) -> None:
    """Wait until a server is on its port, and for a while."""
    until_s = time.monotonic() + READY_S
    while tool.port not in lab.head_ports() and time.monotonic() < until_s:
        time.sleep(0.05)
    time.sleep(SETTLE_S)


def _await_boxes(tool: Tool, logs: list[Path]) -> None:
    """Wait until every box listens: by what it says, and for a while."""
    until_s = time.monotonic() + READY_S
    while tool.ready_mark and time.monotonic() < until_s:
        if all(tool.ready_mark in log.read_text(errors="replace") for log in logs):
            break
        time.sleep(0.05)
    time.sleep(SETTLE_S)


def _await_images(
    boxes: list[_Box], began_s: float, limit_s: float, late_s: tuple[float, ...], start_box: Callable[[], None]
) -> None:
    """Watch until every box has the image or has given up; start the late ones at their time."""
    pending = sorted(late_s)
    while time.monotonic() - began_s < limit_s:
        if pending and time.monotonic() - began_s >= pending[0]:
            pending.pop(0)
            start_box()
        settled = [box.is_settled for box in boxes]
        if all(settled) and not pending:
            return
        time.sleep(POLL_S)


def _cpu_s(process: Process | None) -> float:
    """Return the CPU time so far, of a process that may still run."""
    if process is None:
        return 0.0
    return process.cpu_s if process.poll() is not None else process.cpu_so_far_s()


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
