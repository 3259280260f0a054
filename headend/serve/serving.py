"""Runs the service: its address, its signals, and what it tells systemd."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from carousel.console.quantities import parse_count
from carousel.console.supervisor import beat_interval_s, notify
from carousel.errors import OperatorError, UsageError, explain_os_error
from headend.casting import Clocks
from headend.serve.app import make_app
from headend.serve.doors import Doors
from headend.serve.headend import Headend
from headend.serve.settings import Settings

__all__ = ["DEFAULT_ADDRESS", "run_service"]

DEFAULT_ADDRESS = "127.0.0.1:8377"
BACKLOG = 128
KEEP_ALIVE_S = 20
FAREWELL_S = 2
TEND_S = 1.0
FIRST_INHERITED = 3
"""The descriptor that systemd hands on, where it listens for us (sd_listen_fds)."""

Tell = Callable[..., None]


def parse_address(text: str) -> tuple[str, int]:
    """Read `127.0.0.1:8377` or `[::1]:8377`; port 0: any that is free."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"{text!r} is no address to listen at, such as {DEFAULT_ADDRESS} or [::1]:8377")
    return host.strip("[]"), int(port)


def _listen(address: str) -> socket.socket:
    """Take the address that was asked for, or the socket that systemd listens with already."""
    if os.environ.get("LISTEN_PID") == str(os.getpid()) and parse_count(os.environ.get("LISTEN_FDS", "1")) >= 1:
        return socket.socket(fileno=FIRST_INHERITED)
    host, port = parse_address(address)
    opened = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((host, port))
        opened.listen(BACKLOG)
    except OSError as error:
        opened.close()
        raise OperatorError(f"can't listen at {address}: {explain_os_error(error)}") from None
    return opened


class _Server(uvicorn.Server):
    """Leaves signals to us."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def run_service(
    folder: Path, address: str, settings: Settings, clocks: Clocks, random: Callable[[int], bytes], tell: Tell
) -> None:
    """Serve until SIGTERM or SIGINT."""
    with _listen(address) as listener:
        headend = Headend(folder, settings, clocks, random, tell)
        asyncio.run(_serve(headend, listener, clocks, random))


async def _serve(headend: Headend, listener: socket.socket, clocks: Clocks, random: Callable[[int], bytes]) -> None:
    settings = headend.settings
    host, port = listener.getsockname()[:2]
    doors = Doors(headend, clocks.now, random)
    app = make_app(doors, frozenset({"localhost", host, *settings.hosts}), settings.tls is not None)
    certificate, key = settings.tls or (None, None)
    server = _Server(
        uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=settings.most_requests,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=FAREWELL_S,
            ssl_certfile=certificate,
            ssl_keyfile=key,
        )
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, setattr, server, "should_exit", True)
    headend.start()
    headend.reports.tend()  # who is told that we serve may report at once
    beat, tending = asyncio.create_task(_beat()), asyncio.create_task(_tend(headend))
    tending.add_done_callback(lambda _: setattr(server, "should_exit", True))  # nothing would follow rules any more
    shown = f"[{host}]" if ":" in host else host
    headend.tell("serving", url=f"{'https' if settings.tls else 'http'}://{shown}:{port}/", folder=str(headend.folder))
    notify("READY=1")
    try:
        await server.serve(sockets=[listener])
    finally:
        notify("STOPPING=1")
        beat.cancel()
        tending.cancel()
        await headend.close()
        headend.tell("stopped")
    if not tending.cancelled() and tending.done():
        tending.result()


async def _tend(headend: Headend) -> None:
    while True:
        await asyncio.sleep(TEND_S)
        await headend.tend()


async def _beat() -> None:
    """Tell systemd's watchdog that the loop turns."""
    interval_s = beat_interval_s()
    while interval_s is not None:
        notify("WATCHDOG=1")
        await asyncio.sleep(interval_s)
