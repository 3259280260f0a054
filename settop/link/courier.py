"""Sends one packet, and waits for nothing."""

import socket
from contextlib import closing
from ipaddress import IPv4Address, IPv6Address

__all__ = ["send_once"]


def send_once(address: IPv4Address | IPv6Address, port: int, raw: bytes) -> None:
    """Send a datagram; `OSError` where the network does not take it."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with closing(socket.socket(family, socket.SOCK_DGRAM)) as sock:
        sock.setblocking(False)
        sock.sendto(raw, (str(address), port))
