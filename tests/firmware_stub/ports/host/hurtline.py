"""A pseudo-terminal with the real loader behind it, and a proxy between that drops, flips, repeats, delays and cuts."""

import os
import pty
import select
import subprocess
import termios
import time
import tty

from bench.virtual.serialline import Wire
from tests.firmware_stub.stubhost import STUB

SECTOR_BYTES = 512
SLOT_SECTORS = 33
READ_BYTES = 4096


def raw_pair():
    master, slave = pty.openpty()
    tty.setraw(slave, termios.TCSANOW)
    os.set_blocking(master, False)
    return master, slave


class HurtLine:
    """`path` is what `settop flash --port` opens. `pump` moves bytes; faults as in virtualline.Faults."""

    def __init__(self, flash, faults, rng):
        self.flash = flash
        self._host, self._host_slave = raw_pair()
        self._board, self._board_slave = raw_pair()
        self.path = os.ttyname(self._host_slave)
        self._board_path = os.ttyname(self._board_slave)
        self.down, self.up = Wire(faults, rng), Wire(faults, rng)
        self.process = None
        if not flash.exists():
            flash.write_bytes(b"\xff" * (3 + 3 * SLOT_SECTORS) * SECTOR_BYTES)

    def power_on(self):
        command = [STUB / "build" / "board", self.flash, self._board_path, str(SECTOR_BYTES), str(SLOT_SECTORS)]
        self.process = subprocess.Popen(command)

    def pull_the_plug(self):
        self.process.kill()
        self.process.wait()

    def pump(self, timeout_s):
        """Move what there is, once."""
        ready, _, _ = select.select([self._host, self._board], [], [], timeout_s)
        now_s = time.monotonic()
        for descriptor, wire in ((self._host, self.down), (self._board, self.up)):
            if descriptor in ready:
                wire.send(os.read(descriptor, READ_BYTES), now_s, 1e9)
        for wire, descriptor in ((self.down, self._board), (self.up, self._host)):
            for piece, _ in wire.arrived(now_s):
                write_all(descriptor, piece)

    def slot(self, name, size):
        at = {"eeprom": 3, "slot_a": 3 + SLOT_SECTORS, "slot_b": 3 + 2 * SLOT_SECTORS}[name] + 1
        return self.flash.read_bytes()[at * SECTOR_BYTES :][:size]

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.pull_the_plug()
        for descriptor in (self._host, self._host_slave, self._board, self._board_slave):
            os.close(descriptor)


def write_all(descriptor, data):
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            select.select([], [descriptor], [], 0.1)
