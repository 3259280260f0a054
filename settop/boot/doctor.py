"""What can be told of a board before it matters: loaders, partitions, interface, watchdog; each with what to expect.

Each check says what was found and what is expected, so that a report from a board nobody here has can be read.
"""

from collections.abc import Iterator

from carousel.errors import OperatorError, explain_os_error
from carousel.frozen import Frozen
from settop.boot.backend import Backend
from settop.boot.flow import disagreements
from settop.boot.identity import box_id
from settop.boot.machine import Machine, read_text
from settop.boot.tryboot import BOOTLOADER, told_by_firmware
from settop.store.disk import Disk
from settop.store.staterecord import StateRecord

__all__ = ["Check", "examine_board", "examine_loaders", "examine_partition"]

_LINKS = {"": "not there", "unknown": "there; whether its link is up, its driver does not tell"}
_PROBE_FILE = "settop-doctor"


class Check(Frozen):
    """One finding; `is_good` None: nothing to judge."""

    name: str
    is_good: bool | None
    found: str
    expected: str = ""


def examine_board(machine: Machine, interface: str | None) -> Iterator[Check]:
    """Yield what the machine says of itself."""
    model = read_text(machine, "/proc/device-tree/model")
    yield Check("board", None, model or "no device tree: a PC, or an emulated board with UEFI")
    own_id = box_id(machine, (interface,) if interface else ())
    yield Check("box id", bool(own_id), own_id or "none", "serial-... or mac-...: the same after each start")
    if interface:
        state = read_text(machine, f"/sys/class/net/{interface}/operstate")
        yield Check("interface", state in ("up", "unknown"), f"{interface}: {_LINKS.get(state, state)}", "up")
    watchdog = "/sys/class/watchdog/watchdog0/identity"
    found = read_text(machine, watchdog) or "none"
    expected = "one: an image that hangs is left only by a watchdog"
    yield Check("watchdog", machine.read(watchdog) is not None, found, expected)
    if machine.read(f"{BOOTLOADER}/tryboot") is not None:
        yield from _examine_pi(machine)


def _examine_pi(machine: Machine) -> Iterator[Check]:
    partition = told_by_firmware(machine, "partition")
    expected = "1 in the receiver, 2 in slot A, 3 in slot B; 0 on a Pi 3 and with an old EEPROM of a Pi 5"
    yield Check("firmware's partition", partition in (0, 1, 2, 3), str(partition), expected)
    kernel = read_text(machine, "/proc/sys/kernel/osrelease")
    expected = "Raspberry Pi's own, such as 6.6.51+rpt-rpi-v8: no other hands `tryboot` to the firmware"
    yield Check("kernel", None, kernel or "not told", expected)
    flag = told_by_firmware(machine, "tryboot")
    yield Check("tryboot flag", flag in (0, 1), str(flag), "1 only in the start after `settop boot` of a trial")
    built = told_by_firmware(machine, "build-timestamp")
    yield Check("EEPROM built", built > 0, str(built), "a time after 2021 (1609459200): tryboot in autoboot.txt")


def examine_partition(name: str, disk: Disk) -> Check:
    """Write, sync, read back and remove a small file."""
    content = b"bootcast"
    try:
        disk.write(_PROBE_FILE, 0, content)
        disk.sync(_PROBE_FILE)
        is_good = disk.read(_PROBE_FILE) == content
        disk.remove(_PROBE_FILE)
        disk.sync_names()
    except OSError as error:
        return Check(name, False, explain_os_error(error), "can be written")
    return Check(name, is_good, "can be written" if is_good else "does not read back what is written", "can be written")


def examine_loaders(found: list[tuple[Backend, str | None]], record: StateRecord | None) -> Iterator[Check]:
    """Yield for each backend whether it serves here, and for the first that does whether it agrees with the record."""
    for backend, why_not in found:
        yield Check(f"backend {backend.name}", None, why_not or "serves here")
    serving = next((backend for backend, why_not in found if why_not is None), None)
    if serving is None:
        yield Check("boot loader", False, "none that serves here", "one of the backends")
        return
    try:
        state, running = serving.state(), serving.booted()
        problems = disagreements(record, serving) if record else []
    except OperatorError as error:
        yield Check("boot loader", False, str(error), "its state can be read")
        return
    yield Check("boot loader", None, state.raw)
    yield Check("running", None, running.value if running else "the receiver, or not known")
    if record:
        yield Check("agrees with the record", not problems, "; ".join(problems) or "yes", "yes")
