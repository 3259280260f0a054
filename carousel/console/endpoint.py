"""A multicast group and port, as both ends name it: `239.255.77.1:5077` or `[ff15::4d]:5077`."""

import ipaddress
import re
from typing import Self

from carousel.errors import UsageError
from carousel.frozen import Frozen

__all__ = ["DEFAULT_GROUP", "Endpoint"]

DEFAULT_GROUP = "239.255.77.1:5077"
"""Where a head-end casts, and a box listens, unless told otherwise: 239.255.0.0/16 stays inside an organisation."""

_ENDPOINT = re.compile(r"(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})")


class Endpoint(Frozen):
    """A multicast group, IPv4 or IPv6, and a UDP port."""

    group: str
    port: int

    @property
    def is_ipv6(self) -> bool:
        """Whether the group is an IPv6 one."""
        return ":" in self.group

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `group:port`, with brackets around an IPv6 group."""
        match = _ENDPOINT.fullmatch(text)
        try:
            address = ipaddress.ip_address((match[1] or match[2]) if match else "")
        except ValueError:
            raise UsageError(f"group {text!r} is not of the form 239.255.77.1:5077 or [ff15::4d]:5077") from None
        assert match is not None
        port = int(match[3])
        if not address.is_multicast:
            raise UsageError(f"{address} is no multicast group; take one from 239.255.0.0/16 or ff15::/16")
        if not 0 < port < 65536:
            raise UsageError(f"port {port} is not between 1 and 65535")
        return cls(str(address), port)

    def __str__(self) -> str:
        return f"[{self.group}]:{self.port}" if self.is_ipv6 else f"{self.group}:{self.port}"
