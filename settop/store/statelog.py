"""The state record on the disk: `state.bin`, two erase sectors of appended records (settop/store/staterecord.py)."""

import errno
from contextlib import suppress

from settop.store.disk import Disk
from settop.store.staterecord import SECTORS, Erase, StateRecord, newest_record, plan_append

__all__ = ["SECTOR_BYTES", "STATE", "StateLog"]

SECTOR_BYTES = 4096
STATE = "state.bin"


class StateLog:
    """Reads and appends state records. A file that can't be read holds none."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def newest(self) -> StateRecord | None:
        """Return the newest record, or None."""
        try:
            return newest_record(self._flash())
        except OSError:
            return None

    def trouble(self) -> OSError | None:
        """Return why the file can't be read; None if it can, or is not there."""
        try:
            self._disk.read(STATE)
        except OSError as error:
            return error
        return None

    def _flash(self) -> bytes:
        content = self._disk.read(STATE) or b""
        return content.ljust(SECTORS * SECTOR_BYTES, b"\xff")[: SECTORS * SECTOR_BYTES]

    def _reserve(self) -> None:
        """Give both sectors their bytes on the medium before they are needed: a full disk must not end appends."""
        size_bytes = len(self._disk.read(STATE) or b"")
        if size_bytes < SECTORS * SECTOR_BYTES:
            self._disk.write(STATE, size_bytes, b"\xff" * (SECTORS * SECTOR_BYTES - size_bytes))
            self._disk.sync(STATE)

    def append(self, record: StateRecord) -> StateRecord:
        """Append a record and return it with its `seq`; `OSError` if it does not read back.

        What can't be read is not written to either: a sector that holds the newest record must not be erased.
        """
        with suppress(OSError):  # no room now: what there is may do, and the next append asks again
            self._reserve()
        for operation in plan_append(self._flash(), record):
            if isinstance(operation, Erase):
                self._disk.write(STATE, operation.sector * SECTOR_BYTES, b"\xff" * SECTOR_BYTES)
            else:
                self._disk.write(STATE, operation.offset, operation.data)
            self._disk.sync(STATE)
        appended = self.newest()
        if appended is None or appended.but(seq=record.seq) != record:
            raise OSError(errno.EIO, "what was written does not read back", STATE)
        return appended
