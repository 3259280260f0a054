"""The relay: takes a carousel from its group, and hands it to each box through a link of its own, in real time.

    group ──► GroupListener ──► trunk's chain ──► class's chain ──► calendar ──► box 1, box 2, ...
    head-end ◄────────────── up chain ◄──── what a box sends back

Links of one class are emulated together, as columns of the same matrices. An emulator that lies about its rate is
worse than none: packets that leave later than they should, and packets that the relay's own socket lost, are counted.
"""

import selectors
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.link.calendar import Calendar
from bench.link.chain import Chain
from bench.link.sockets import BoxSocket, HeadEndSocket
from bench.link.topology import LinkClass, Target, Topology
from bench.link.traffic import Traffic
from carousel.batch import Batch
from carousel.console.endpoint import Endpoint
from carousel.errors import UsageError
from settop.link.listener import GroupListener

__all__ = ["Relay"]

FEW_BOXES = 16
SLOT_S, MANY_SLOT_S = 0.001, 0.005
LATE_S = 0.005
"""What leaves so much after the end of its slot is late."""
LONGEST_WAIT_S = 0.2


class _Class:
    """The links of one class: their chain, their packets that wait, their sockets."""

    def __init__(self, kind: LinkClass, seed: tuple[int, ...], slot_s: float) -> None:
        self.kind = kind
        self.down = Chain(kind.down, len(kind.targets), (*seed, 0))
        self.calendar = Calendar(slot_s)
        self.sockets = [BoxSocket(target) for target in kind.targets]
        self.ups = [Chain(kind.up, 1, (*seed, 1, index)) for index in range(len(kind.targets))]
        self.up_calendar = Calendar(SLOT_S)
        self.late = np.zeros(len(kind.targets), dtype=np.int64)

    def release(self, now_s: float, slot_s: float, headend: HeadEndSocket | None) -> None:
        for departure in self.calendar.departures(now_s):
            if now_s - departure.due_s > slot_s + LATE_S:
                self.late[departure.link] += len(departure.rows)
            self.sockets[departure.link].send(departure.rows)
        for departure in self.up_calendar.departures(now_s):
            if headend is not None:
                headend.send(departure.rows)

    def next_s(self) -> float | None:
        moments = [each.next_s() for each in (self.calendar, self.up_calendar)]
        return min((moment for moment in moments if moment is not None), default=None)


class Relay:
    """One carousel, many links."""

    def __init__(
        self, source: Endpoint, interface: str, topology: Topology, seed: int, headend: Target | None = None
    ) -> None:
        boxes = sum(len(kind.targets) for kind in topology.classes)
        self.seed = seed
        self.slot_s = SLOT_S if boxes <= FEW_BOXES else MANY_SLOT_S
        self._gather_s = 0.0 if boxes <= FEW_BOXES else MANY_SLOT_S
        self._listener = GroupListener(source, interface)
        self._trunks = {
            trunk.name: Chain(trunk.down, 1, (seed, 0, index)) for index, trunk in enumerate(topology.trunks)
        }
        self._classes = [_Class(kind, (seed, 1, index), self.slot_s) for index, kind in enumerate(topology.classes)]
        self._headend = HeadEndSocket(headend) if headend is not None else None
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ, None)
        for each in self._classes:
            for link, socket in enumerate(each.sockets):
                self._selector.register(socket, selectors.EVENT_READ, (each, link))
        self._began_s = time.monotonic()

    def run(self, keep_on: Callable[[], bool], every_s: float, tell: Callable[[float], None]) -> None:
        """Relay while `keep_on` says so; `tell` is called with the time now and then."""
        told_s = 0.0
        while keep_on():
            self.step()
            now_s = self._now_s()
            if now_s - told_s >= every_s:
                told_s = now_s
                tell(now_s)

    def _now_s(self) -> float:
        return time.monotonic() - self._began_s

    def step(self) -> None:
        """Wait for what comes next, take it, and let go what is due."""
        next_s = min((moment for each in self._classes if (moment := each.next_s()) is not None), default=None)
        wait_s = LONGEST_WAIT_S if next_s is None else min(LONGEST_WAIT_S, next_s - self._now_s())
        ready = self._selector.select(max(0.0, wait_s))
        if ready and self._gather_s:  # many links: fewer, larger batches
            until_next_s = self._gather_s if next_s is None else next_s - self._now_s()
            time.sleep(max(0.0, min(self._gather_s, until_next_s)))
        for key, _ in ready:
            if key.data is None:
                for batch in self._listener.batches():
                    self._take(batch, self._now_s())
            else:
                self._take_answer(*key.data)
        now_s = self._now_s()
        for each in self._classes:
            each.release(now_s, self.slot_s, self._headend)

    def _take(self, batch: Batch, now_s: float) -> None:
        rows = batch.as_rows().copy()  # the socket's buffer is used again
        arrival_s = np.full(batch.count, now_s)
        sizes = np.full(batch.count, batch.stride, dtype=np.int64)
        trunked = {}
        for name, trunk in self._trunks.items():
            trunked[name] = Traffic.arriving(arrival_s, sizes, 1)
            trunk.carry(trunked[name])
        for each in self._classes:
            links = len(each.sockets)
            if each.kind.trunk is not None:
                traffic = trunked[each.kind.trunk].behind_trunk(links)
            else:
                traffic = Traffic.arriving(arrival_s, sizes, links)
            each.down.carry(traffic)
            each.calendar.add(rows, traffic)

    def _take_answer(self, kind: _Class, link: int) -> None:
        for answer in kind.sockets[link].answers():
            now_s = self._now_s()
            traffic = Traffic.arriving(np.array([now_s]), np.array([len(answer)]), 1)
            kind.ups[link].carry(traffic)
            kind.up_calendar.add(np.frombuffer(answer, dtype=np.uint8)[None], traffic)

    # --- report ------------------------------------------------------------------------------------------

    def totals(self) -> dict[str, int]:
        """Return sums over all boxes, for a live line."""
        return {
            "offered": sum(int(each.down.offered.sum()) for each in self._classes),
            "delivered": sum(int(each.down.delivered.sum()) for each in self._classes),
            "delivered_bytes": sum(int(each.down.delivered_bytes.sum()) for each in self._classes),
            "late": sum(int(each.late.sum()) for each in self._classes),
            "relay_dropped": self._listener.socket_drops,
            "send_refused": sum(socket.refused_packets for each in self._classes for socket in each.sockets),
        }

    def report(self) -> dict[str, Any]:
        """Return everything: seed, what fell behind, each trunk, each box down and up."""
        boxes = []
        for each in self._classes:
            for link, target in enumerate(each.kind.targets):
                down = each.down.report(link) | {"late": int(each.late[link])}
                boxes.append({"class": each.kind.name, "to": str(target), "down": down, "up": each.ups[link].report(0)})
        totals = self.totals()
        behind = totals["late"] or totals["relay_dropped"] or totals["send_refused"]
        return {
            "seed": self.seed,
            "seconds": round(self._now_s(), 3),
            "slot_s": self.slot_s,
            "fell_behind": bool(behind),
            "totals": totals,
            "trunks": {name: trunk.report(0) for name, trunk in self._trunks.items()},
            "boxes": boxes,
        }

    def close(self) -> None:
        """Close all sockets."""
        self._selector.close()
        self._listener.close()
        for each in self._classes:
            for socket in each.sockets:
                socket.close()
        if self._headend is not None:
            self._headend.close()


def check_ports(topology: Topology) -> None:
    """Refuse two links to one target."""
    targets = [str(target) for kind in topology.classes for target in kind.targets]
    twice = sorted({target for target in targets if targets.count(target) > 1})
    if twice:
        raise UsageError(f"{twice[0]} is the target of two links; each box needs its own")
