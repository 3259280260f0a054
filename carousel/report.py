"""A box's report: one packet to where a bulletin asks for it, if the box may report there; nothing answers it.

     0  magic "BCRP"     4  layout = 1, kind, zero     8  release id     24  box id, NUL-padded     88  MAC, 16 bytes

The MAC is HMAC-SHA256 over all before it, by a key of this box alone: HMAC-SHA256 of a secret of the head-end and of
the box id. So a box that was taken apart tells nothing of another one's key. Who has no key sends zeros, and does not
count.
"""

import hashlib
import hmac
from enum import IntEnum
from typing import Self

from carousel.errors import FormatError
from carousel.frozen import Frozen
from carousel.records import Bytes, Const, Number, Record
from carousel.release.identity import RELEASE_ID_BYTES, ReleaseId

__all__ = ["MAX_BOX_ID_BYTES", "REPORT_BYTES", "Report", "ReportKind", "box_key"]

MAX_BOX_ID_BYTES = 64
MAC_BYTES = 16
REPORT_BYTES = 104

ReportFormat = Record(
    "<",
    magic=Const(b"BCRP", 4),
    layout=Const(1, 2),
    kind=Number(1),
    reserved=Const(0, 1),
    release=Bytes(RELEASE_ID_BYTES),
    box_id=Bytes(MAX_BOX_ID_BYTES),
    mac=Bytes(MAC_BYTES),
)
assert ReportFormat.sizeof() == REPORT_BYTES


class ReportKind(IntEnum):
    """What a box says of a trial. Who starts and says no more has failed."""

    STARTING = 1
    CONFIRMED = 2


def box_key(secret: bytes, box_id: str) -> bytes:
    """Return the key of one box, of a head-end's secret."""
    return hmac.digest(secret, b"bootcast report " + box_id.encode(), "sha256")


class Report(Frozen):
    """One report. `mac` is zeros where nobody vouches for it."""

    kind: ReportKind
    release: ReleaseId
    box_id: str
    mac: bytes = bytes(MAC_BYTES)

    def build(self, key: bytes | None) -> bytes:
        """Return the 104 bytes; `ValueError` if the box id won't fit."""
        fields = {"kind": self.kind, "release": self.release.digest, "mac": bytes(MAC_BYTES)}
        fields["box_id"] = self.box_id.encode().ljust(MAX_BOX_ID_BYTES, b"\0")
        raw: bytes = ReportFormat.build(fields)
        return raw[:-MAC_BYTES] + _mac(raw, key) if key else raw

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read 104 bytes; `FormatError` names what is wrong. The MAC is checked by `is_by`."""
        if len(raw) != REPORT_BYTES:
            raise FormatError("report_size")
        fields = ReportFormat.parse(raw)
        try:
            box_id = fields.box_id.rstrip(b"\0").decode()
            return cls(ReportKind(fields.kind), ReleaseId(fields.release), box_id, fields.mac)
        except ValueError:
            raise FormatError("report_fields") from None

    def is_by(self, secret: bytes) -> bool:
        """Say whether the box that it names has sent it, as far as the head-end's secret tells."""
        key = box_key(secret, self.box_id)
        return hmac.compare_digest(self.build(key)[-MAC_BYTES:], self.mac)


def _mac(raw: bytes, key: bytes) -> bytes:
    return hmac.new(key, raw[:-MAC_BYTES], hashlib.sha256).digest()[:MAC_BYTES]
