"""A command that needs a package from an extra."""

import scapy.packet


def wish() -> None:
    """Wish."""
    print(scapy.packet)
