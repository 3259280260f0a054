"""Cut the power at every flash operation of the C stub, in five ways, and again during the recovery.

After each: a verified image boots, the old or the new one, the EEPROM's only where nothing else ever was; what was
confirmed is still whole; an image that nobody confirmed starts three times at most; and the box goes on updating.
"""

import ctypes
from dataclasses import dataclass
from itertools import product

from settop.store.staterecord import NO_SLOT, RECORD_BYTES, TRIES, SlotState, StateRecord
from tests.firmware_stub.stubhost import POWER_WENT, Board, Cut, Geometry, header_of, image_of

GEOMETRY = Geometry(512, 3)
COUNTERS = {"0.9.0": 1, "1.0.0": 1, "2.0.0": 2, "2.5.0": 2, "3.0.0": 2}
INSTALLED = 0
CONFIRMED_NOW = 0


@dataclass(frozen=True)
class Scenario:
    """`history`: what was installed and confirmed before; `action` is what the power is cut in."""

    history: tuple[str, ...]
    action: str
    free_records: int

    def __str__(self):
        return f"{self.action} after {'+'.join(self.history) or 'nothing'}, {self.free_records} records free"


SCENARIOS = [
    Scenario(history, action, free)
    for history, action, free in product(
        [(), ("1.0.0",), ("0.9.0", "1.0.0")], ["install", "boot", "confirm"], [6, 2, 1, 0]
    )
]


def install(board, version):
    return board.install(header_of(version, COUNTERS[version]), image_of(version))


def boot(board):
    """Boot, checking that what boots is whole; return the version, or None where the power went."""
    decision = board.boot()
    if decision == POWER_WENT:
        return None
    assert decision is not None, "nothing boots"
    header = bytes(decision.header)
    version = ".".join(str(int.from_bytes(header[at : at + 2], "little")) for at in (24, 26, 28))
    name = ("slot_a", "slot_b", "eeprom")[decision.place]
    assert board.image(name, 700) == image_of(version), f"{name} boots, and is not whole"
    return version


def record_of(board):
    return StateRecord.parse(board.load()[0])


def prepared(scenario, path=None):
    """A board that has lived through the history, and is about to act."""
    board = Board(GEOMETRY, path=path)
    header, image = header_of("0.1.0", 1), image_of("0.1.0")
    board.put_image("eeprom", header.raw, image)
    for version in scenario.history:
        assert install(board, version) == INSTALLED
        assert boot(board) == version
        assert board.confirm() == CONFIRMED_NOW
    if scenario.action != "install":
        assert install(board, "2.0.0") == INSTALLED
    if scenario.action == "confirm":
        assert boot(board) == "2.0.0"
    fill_records(board, scenario.free_records)
    return board


def fill_records(board, free):
    """Append the same record until so many places are free in its sector."""
    sector_bytes = GEOMETRY.sector_bytes
    for _ in range(2 * sector_bytes // RECORD_BYTES):
        records = board.region("records")
        if records.count(b"BCST") == 0:
            return
        places = [at for at in range(0, len(records), RECORD_BYTES) if records[at : at + 4] == b"BCST"]
        newest = max(places, key=lambda at: int.from_bytes(records[at + 8 : at + 12], "little"))
        if (sector_bytes - newest % sector_bytes) // RECORD_BYTES - 1 == free:
            return
        board.append(ctypes.create_string_buffer(record_of(board).build(), RECORD_BYTES))
    raise AssertionError("no such fill")


def act(board, action):
    if action == "install":
        return install(board, "2.0.0")
    return board.boot() if action == "boot" else board.confirm()


def recover(board):
    """What a box does after a power cut: boot, and take the next update."""
    return boot(board) is not None and install(board, "2.5.0") != POWER_WENT


def count_operations(board, do):
    board.arm(0)
    do()
    return board.operations()


def check(board, scenario):
    """All that must hold after a cut."""
    fallback = scenario.history[-1] if scenario.history else "0.1.0"
    is_new_confirmed = scenario.action == "confirm" and is_confirmed(record_of(board), "2.0.0")
    starts = int(scenario.action == "confirm")
    for _ in range(TRIES + 2):
        version = boot(board)
        assert version in {fallback, "2.0.0"}, f"{version} boots, neither the old nor the new"
        starts += version == "2.0.0"
    if is_new_confirmed:
        assert boot(board) == "2.0.0", "the new image was confirmed, and is lost"
    else:
        assert starts <= TRIES, f"an image that nobody confirmed was started {starts} times"
        assert boot(board) == fallback, f"{fallback} was good, and is lost"
    assert install(board, "3.0.0") == INSTALLED
    assert boot(board) == "3.0.0", "the box does not go on updating"
    assert board.confirm() == CONFIRMED_NOW
    assert [boot(board) for _ in range(TRIES + 1)] == ["3.0.0"] * (TRIES + 1)
    assert board.violations() == 0, "a program would have had to set bits"


def is_confirmed(record, version):
    assert record is not None, "the state record is lost"
    digest = header_of(version, COUNTERS[version]).image_sha256[:8]
    return (
        record.active != NO_SLOT
        and record.slots[record.active].digest == digest
        and (record.slots[record.active].state is SlotState.CONFIRMED)
    )


def cut_once(scenario, seeds, path=None):
    """Every operation of the action, five ways; return how many interruptions were tried."""
    board = prepared(scenario, path)
    snapshot = board.flash
    operations = count_operations(board, lambda: act(board, scenario.action))
    tried = 0
    for at, cut, seed in product(range(1, operations + 1), Cut, range(seeds)):
        board.flash = snapshot
        board.arm(at, cut, seed)
        assert act(board, scenario.action) == POWER_WENT
        board.arm(0)
        check(board, scenario)
        tried += 1
    return tried


def cut_twice(scenario, seeds):
    """Every pair: a cut in the action, another one while the box boots and takes the next update."""
    board = prepared(scenario)
    snapshot = board.flash
    operations = count_operations(board, lambda: act(board, scenario.action))
    fallback = scenario.history[-1] if scenario.history else "0.1.0"
    tried = 0
    for at, first, seed in product(range(1, operations + 1), Cut, range(seeds)):
        board.flash = snapshot
        board.arm(at, first, seed)
        act(board, scenario.action)
        after_first = board.flash
        recovery = count_operations(board, lambda: recover(board))
        for again, second in product(range(1, recovery + 1), Cut):
            board.flash = after_first
            board.arm(again, second, seed + 100)
            assert not recover(board)
            board.arm(0)
            check_pair(board, scenario, {fallback, "2.0.0", "2.5.0"})
            tried += 1
    return tried


def check_pair(board, scenario, allowed):
    version = boot(board)
    assert version in allowed, f"{version} boots after two cuts"
    assert install(board, "3.0.0") == INSTALLED
    assert boot(board) == "3.0.0"
    assert board.confirm() == CONFIRMED_NOW
    assert boot(board) == "3.0.0"
    if scenario.history:
        active = record_of(board).active
        assert board.image(("slot_b", "slot_a")[active], 700) in [
            image_of(each) for each in (*scenario.history, "2.0.0", "2.5.0")
        ]
    assert board.violations() == 0
