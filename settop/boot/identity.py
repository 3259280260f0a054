"""Who a box is: its serial number or its first interface's address, found at first boot, never on the card."""

from settop.boot.machine import Machine, read_text

__all__ = ["box_id"]

_SERIALS = ("/proc/device-tree/serial-number", "/sys/class/dmi/id/product_serial", "/sys/class/dmi/id/board_serial")
_NO_SERIALS = {"", "0", "none", "default string", "to be filled by o.e.m.", "not specified", "system serial number"}


def box_id(machine: Machine, interfaces: tuple[str, ...]) -> str:
    """Return `serial-...` or `mac-...`; empty where the machine tells neither."""
    for path in _SERIALS:
        serial = read_text(machine, path)
        if serial.lower() not in _NO_SERIALS:
            return f"serial-{serial}"
    for interface in interfaces:
        address = read_text(machine, f"/sys/class/net/{interface}/address")
        if address.replace("00:", "") not in ("", "00"):
            return f"mac-{address.replace(':', '')}"
    return ""
