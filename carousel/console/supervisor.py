"""What a program tells the supervisor that started it: systemd's sd_notify, datagrams to the socket that it names."""

import os
from contextlib import suppress

__all__ = ["beat_interval_s", "notify"]


def notify(state: str) -> None:
    """Tell it `READY=1`, `WATCHDOG=1`, `STOPPING=1`, if it asked to be told; nothing stops for one that is deaf."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    import socket  # noqa: PLC0415  a box that nobody asked starts without it

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender, suppress(OSError):
        sender.sendto(state.encode(), "\0" + path[1:] if path.startswith("@") else path)


def beat_interval_s() -> float | None:
    """Return how often its watchdog wants to hear `WATCHDOG=1`, a third of its patience; None where there is none."""
    patience_us = os.environ.get("WATCHDOG_USEC", "")
    return int(patience_us) / 3e6 if patience_us.isdecimal() and int(patience_us) else None
