"""Marks of confirmation: `slot-a.confirmed`, beside the slot, for a box whose state record is lost.

A whole image says nothing of whether it ever worked: one that failed three times is as whole as one that runs for
years. So confirmation leaves a mark that names the release. It means nothing as long as there is a state record.
"""

import hashlib

from carousel.crc import crc32
from carousel.errors import FormatError
from carousel.records import Bytes, Const, Number, Record
from carousel.release.header import SignedHeader
from settop.store.choice import Source
from settop.store.disk import Disk

__all__ = ["Marks"]

MarkFormat = Record("<", magic=Const(b"BCCM", 4), seq=Number(4), header_sha256=Bytes(32), crc=Number(4))


class Marks:
    """Writes, reads and removes marks."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def put(self, source: Source, header: SignedHeader, seq: int) -> None:
        """Mark what a slot holds as confirmed; `seq` is that of the record that says so."""
        body = MarkFormat.build({"seq": seq, "header_sha256": hashlib.sha256(header.raw).digest(), "crc": 0})[:-4]
        name = self._name(source)
        self._disk.write(name, 0, body + crc32(body).to_bytes(4, "little"))
        self._disk.sync(name)
        self._disk.sync_names()

    def remove(self, source: Source) -> None:
        """Take a slot's mark away, before anything else happens to it."""
        if self._name(source) in self._disk.names():
            self._disk.remove(self._name(source))
            self._disk.sync_names()

    def seq(self, source: Source, header: SignedHeader) -> int | None:
        """Return when what a slot holds was confirmed, as a record's `seq`; None if there is no mark that says so."""
        try:
            raw = self._disk.read(self._name(source)) or b""
            mark = MarkFormat.parse(raw)
        except (OSError, FormatError):
            return None
        is_whole = mark.crc == crc32(raw[: MarkFormat.size - 4])
        is_same = mark.header_sha256 == hashlib.sha256(header.raw).digest()
        return int(mark.seq) if is_whole and is_same else None

    @staticmethod
    def _name(source: Source) -> str:
        return f"{source.value}.confirmed"
