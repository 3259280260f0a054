"""Keeps a process for each carousel: started when wanted, started again when it dies, ended when it is not wanted.

WANTED ──► a process of its own, or the understudy (ready, imported, without an order)
   ▲            │ dies: at once, the first time; then after a growing pause, while none lives for `SOUND_S`
   └────────────┘
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec

from headend.serve.orders import Order

__all__ = ["CarouselView", "Keeper", "next_pause_s"]

SOUND_S = 10.0
MAX_PAUSE_S = 30.0
END_S = 3.0
"""How long a process may take to end by itself."""
LINE_BYTES = 1 << 20
COMMAND = (sys.executable, "-m", "headend.commands.carousel")

Tell = Callable[..., None]


def next_pause_s(pause_s: float, lived_s: float, code: int | None) -> float:
    """Return how long to wait before a process is started again: none where it lived or was killed, else twice as long.

    `code` is how it ended: what can't even start must not busy the machine, and what somebody kills must come back.
    """
    if lived_s >= SOUND_S or code == -signal.SIGKILL:
        return 0.0
    return min(MAX_PAUSE_S, pause_s * 2 or 0.5)


@dataclass
class CarouselView:
    """What is known of a carousel from its process alone: what is on the air, not what should be."""

    pid: int | None = None
    starts: int = 0
    sent_bytes: int = 0
    sent_packets: int = 0
    errors: int = 0
    cycles: int = 0
    rate_bps: int = 0
    told_s: float = 0.0
    """When it last said anything (monotonic)."""
    announced_ago_s: float = 0.0
    paced_by: str = ""
    trouble: str = ""
    places: list[dict[str, Any]] = field(default_factory=list)

    def hear(self, event: dict[str, Any], now: float) -> None:
        """Take what the process tells."""
        self.told_s = now
        match event.get("event"):
            case "status":
                self.rate_bps, self.places = event["rate_bps"], event["places"]
                self.announced_ago_s = event["announced_ago_s"]
                self.sent_bytes += event["sent_bytes"]
                self.sent_packets += event["packets"]
                self.errors += event["errors"]
                self.cycles = event["cycle"]
            case "casting":
                self.paced_by, self.trouble = event["paced_by"], ""
            case "trouble":
                self.trouble = event["reason"]
            case "trouble_over" | "swapped":
                self.trouble = ""

    def fall_silent(self) -> None:
        """Know that nothing is sent now."""
        self.rate_bps, self.places = 0, []


class Keeper:
    """Keeps the processes. `follow` says what is wanted; `views` what is."""

    def __init__(self, now: Callable[[], float], tell: Tell) -> None:
        self.views: dict[str, CarouselView] = {}
        self._now, self._tell = now, tell
        self._orders: dict[str, Order] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._understudy: asyncio.Task[asyncio.subprocess.Process] | None = None
        self._is_ending = False

    @property
    def orders(self) -> list[Order]:
        """What is wanted."""
        return list(self._orders.values())

    def follow(self, order: Order) -> None:
        """Have a carousel's process do this from now on."""
        name = order.carousel.name
        self._orders[name] = order
        if name not in self._tasks:
            self.views[name] = CarouselView()
            self._tasks[name] = asyncio.create_task(self._keep(name))
        elif name in self._processes:
            self._give(self._processes[name], order)
        if not order.is_airing:
            self.views[name].fall_silent()

    async def drop(self, name: str) -> None:
        """Have a carousel no more."""
        self._orders.pop(name, None)
        self.views.pop(name, None)
        task, process = self._tasks.pop(name, None), self._processes.get(name)
        if process is not None:
            await self._end(process)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def close(self) -> None:
        """End all processes."""
        self._is_ending = True
        await asyncio.gather(*(self.drop(name) for name in list(self._orders)))
        if self._understudy is not None:
            with suppress(OSError):
                await self._end(await self._understudy)

    async def _keep(self, name: str) -> None:
        pause_s = 0.0
        while name in self._orders:
            born_s, code = self._now(), None
            try:
                process = await self._take()
            except OSError as error:
                self._tell("trouble", carousel=name, reason=f"no process can be started: {error.strerror}")
            else:
                code = await self._attend(name, process)
            if name not in self._orders:
                return
            pause_s = next_pause_s(pause_s, self._now() - born_s, code)
            await asyncio.sleep(pause_s)

    async def _attend(self, name: str, process: asyncio.subprocess.Process) -> int | None:
        """Give a process its order and hear it, until it ends; return how it did."""
        self._processes[name] = process
        view = self.views[name]
        view.pid, view.starts = process.pid, view.starts + 1
        self._give(process, self._orders[name])
        await self._listen(name, process)
        del self._processes[name]
        if name in self._orders:
            view.pid = None
            view.fall_silent()
            self._tell("carousel_died", carousel=name, code=process.returncode)
        return process.returncode

    async def _listen(self, name: str, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            try:
                event = json.loads(line)
                if name in self.views:
                    self.views[name].hear(event, self._now())
            except (ValueError, KeyError, TypeError, AttributeError):
                continue
            if event.get("event") not in ("status", "stopped"):
                self._tell(**{**event, "carousel": name})
        await process.wait()

    def _give(self, process: asyncio.subprocess.Process, order: Order) -> None:
        assert process.stdin is not None
        with suppress(OSError):  # who just died is started again, and asks for its order then
            process.stdin.write(msgspec.json.encode(order) + b"\n")

    async def _take(self) -> asyncio.subprocess.Process:
        """Return a process without an order, and see that the next one need not be waited for."""
        ready = self._understudy
        self._understudy = None
        process = await ready if ready is not None else await self._start()
        if process.returncode is not None:
            process = await self._start()
        if not self._is_ending:
            self._understudy = asyncio.create_task(self._start())
        return process

    async def _start(self) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        environment = os.environ | {"BOOTCAST_PARENT": str(os.getpid())}
        return await asyncio.create_subprocess_exec(
            *COMMAND, stdin=pipe, stdout=pipe, env=environment, limit=LINE_BYTES
        )

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        """Close its orders, wait, and be firm."""
        assert process.stdin is not None
        with suppress(OSError):
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), END_S)
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
