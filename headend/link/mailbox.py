"""Where reports of boxes come in, and what a log-in server says of itself. Nothing is ever answered."""

import json
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import closing, suppress
from http.client import HTTPException
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from carousel.errors import OperatorError, UsageError

__all__ = ["Mailbox", "fetch_json", "parse_address"]

MOST_AT_ONCE = 20_000
QUEUE_BYTES = 1 << 20
LARGEST_REPORT_BYTES = 512
LARGEST_ANSWER_BYTES = 1 << 16


def parse_address(text: str) -> tuple[IPv4Address | IPv6Address, int]:
    """Read ADDRESS:PORT, with brackets around an IPv6 address."""
    address, _, port = text.rpartition(":")
    try:
        found = ip_address(address.removeprefix("[").removesuffix("]")), int(port)
    except ValueError:
        found = None
    if found is None or not 0 < found[1] < 65536:
        raise UsageError(f"{text!r} is no address and port such as 192.0.2.1:5099 or [2001:db8::1]:5099")
    return found


class Mailbox:
    """A UDP port that reports come to."""

    def __init__(self, address: IPv4Address | IPv6Address, port: int) -> None:
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            with suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, QUEUE_BYTES)
            self._socket.bind((str(address), port))
        except OSError as error:
            self._socket.close()
            raise OperatorError(f"reports can't come in at {address} port {port} ({error.strerror})") from None

    def fileno(self) -> int:
        """Return the socket's descriptor, for who waits for letters."""
        return self._socket.fileno()

    def letters(self, most: int = MOST_AT_ONCE) -> Iterator[bytes]:
        """Yield what waits, at most so many packets."""
        for _ in range(most):
            try:
                yield self._socket.recv(LARGEST_REPORT_BYTES)
            except OSError:
                return

    def close(self) -> None:
        """Take nothing more."""
        self._socket.close()


def fetch_json(url: str, timeout_s: float) -> Any:
    """Return what a URL answers, as JSON; `OSError` or `ValueError` where it does not."""
    try:
        with closing(urllib.request.urlopen(url, timeout=timeout_s)) as answer:
            return json.loads(answer.read(LARGEST_ANSWER_BYTES))
    except HTTPException as error:
        raise ValueError(f"no HTTP: {error}") from None
