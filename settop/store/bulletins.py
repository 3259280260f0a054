"""Bulletins in force, kept for good: so epochs never go back, and a box knows at its start what was decided last.

KEYID-PART.bulletin      the packet as it was heard, signature and all; of a key that is trusted no more: ignored
"""

import re
from collections.abc import Iterable
from contextlib import suppress

from carousel.bulletin import MAX_BULLETIN_BYTES, Bulletin, Claim
from settop.store.disk import Disk

__all__ = ["BulletinStore"]

_NAME = re.compile(r"([0-9a-f]{16})-(\d{1,2})\.bulletin")


class BulletinStore:
    """The packets of each key, one for each part."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def packets(self, key_ids: Iterable[bytes]) -> list[bytes]:
        """Return the packets of these keys, checked by nobody; what can't be read is missing."""
        wanted = {key_id.hex() for key_id in key_ids}
        found = []
        for name in self._disk.names():
            match = _NAME.fullmatch(name)
            if match and match[1] in wanted:
                with suppress(OSError):
                    found.append(self._disk.read(name))
        return [raw for raw in found if raw and len(raw) <= MAX_BULLETIN_BYTES]

    def keep(self, claim: Claim, raw: bytes) -> None:
        """Keep a packet, whole or not at all; parts that its epoch has no more go. `OSError` where it can't be."""
        name, unfinished = _name_of(claim.key_id, claim.part), "bulletin.new"
        self._disk.remove(unfinished)
        self._disk.write(unfinished, 0, raw)
        self._disk.sync(unfinished)
        self._disk.rename(unfinished, name)
        self._disk.sync_names()
        parts = Bulletin.parse(raw).parts
        for other in self._disk.names():
            match = _NAME.fullmatch(other)
            if match and match[1] == claim.key_id.hex() and int(match[2]) >= parts:
                self._disk.remove(other)


def _name_of(key_id: bytes, part: int) -> str:
    return f"{key_id.hex()}-{part}.bulletin"
