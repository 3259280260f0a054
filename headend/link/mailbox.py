"""Where reports of boxes come in, and what a log-in server says of itself. Nothing is ever answered."""

import json
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from carousel.errors import OperatorError

__all__ = ["Mailbox", "fetch_json"]

MOST_AT_ONCE = 20_000
LARGEST_REPORT_BYTES = 512
LARGEST_ANSWER_BYTES = 1 << 16


class Mailbox:
    """A UDP port that reports come to."""

    def __init__(self, address: IPv4Address | IPv6Address, port: int) -> None:
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            self._socket.bind((str(address), port))
        except OSError as error:
            self._socket.close()
            raise OperatorError(f"reports can't come in at {address} port {port} ({error.strerror})") from None

    def letters(self) -> Iterator[bytes]:
        """Yield what waits, at most `MOST_AT_ONCE` packets."""
        for _ in range(MOST_AT_ONCE):
            try:
                yield self._socket.recv(LARGEST_REPORT_BYTES)
            except OSError:
                return

    def close(self) -> None:
        """Take nothing more."""
        self._socket.close()


def fetch_json(url: str, timeout_s: float) -> Any:
    """Return what a URL answers, as JSON; `OSError` or `ValueError` where it does not."""
    with closing(urllib.request.urlopen(url, timeout=timeout_s)) as answer:
        return json.loads(answer.read(LARGEST_ANSWER_BYTES))
