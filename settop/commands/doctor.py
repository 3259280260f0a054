"""`settop doctor`: a checklist of a board, with what to expect."""

import json

from carousel.errors import OperatorError
from settop.boot.doctor import Check, examine_board, examine_loaders, examine_partition
from settop.boot.machine import LinuxMachine
from settop.boot.table import BackendOptions, probe_all
from settop.store.folder import BoxFolder

__all__ = ["doctor"]

EXIT_FOUND_SOMETHING = 1


def doctor(options: BackendOptions, interface: str | None, as_json: bool) -> int:
    """Print each finding; exit 1 if one is not as it should be."""
    machine = LinuxMachine()
    checks = list(examine_board(machine, interface))
    record = None
    try:
        box = BoxFolder(options.folder)
        record = box.store.record()
        checks.append(examine_partition(f"store {options.folder}", box.disk))
    except OperatorError as error:
        checks.append(Check("store", False, str(error), "a box's folder"))
    firmware = options.firmware_disk()
    if firmware is not None:
        checks.append(examine_partition(f"firmware {options.firmware}", firmware))
    checks += [examine_partition(f"partition of {slot.value}", disk) for slot, disk in options.slot_disks().items()]
    checks += examine_loaders(probe_all(options, machine), record)
    for check in checks:
        print(json.dumps(vars(check)) if as_json else line_of(check))
    return EXIT_FOUND_SOMETHING if any(check.is_good is False for check in checks) else 0


def line_of(check: Check) -> str:
    """Say a finding in a line; what is not good with what was expected."""
    mark = {True: "good", False: "BAD ", None: "    "}[check.is_good]
    expected = f" (expected: {check.expected})" if check.is_good is False and check.expected else ""
    return f"{mark} {check.name}: {check.found}{expected}"
