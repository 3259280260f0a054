"""What a box reports, if anything: whatever a bulletin asks for, at most twice a release, and where its owner allowed.

A bulletin's key is online and may be stolen. So it can aim no box at an address that was not given at `init`, and make
none say more than "starting" and "confirmed" of each release that it ever installs.
"""

import hashlib
from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv6Address, ip_network

from carousel.bulletin import Draw, Stage
from carousel.frozen import Frozen
from carousel.release.identity import ReleaseId
from carousel.report import MAX_BOX_ID_BYTES, Report, ReportKind

__all__ = ["MOST_DELAY_S", "Outgoing", "report_of"]

MOST_DELAY_S = 30.0
"""Whatever a bulletin says, a start waits no longer for its report."""


class Outgoing(Frozen):
    """A packet to send once, `delay_s` from now."""

    address: IPv4Address | IPv6Address
    port: int
    raw: bytes
    delay_s: float


def report_of(
    kind: ReportKind,
    release: ReleaseId,
    stages: Iterable[Stage],
    box_id: str,
    key: bytes | None,
    may_go_to: Collection[str],
    said: Collection[ReportKind],
) -> Outgoing | None:
    """Return what to report; None where nobody asks, this box is not sampled, or has said so already.

    Who said "starting" is sampled as long as anybody is, so that the same boxes say both. `said` is what this box said
    of this release before.
    """
    stage = next((each for each in stages if each.release == release and each.report_to is not None), None)
    if stage is None or stage.report_to is None or kind in said or not 0 < len(box_id.encode()) <= MAX_BOX_ID_BYTES:
        return None
    to = stage.report_to
    is_second = kind is ReportKind.CONFIRMED
    is_sampled = ReportKind.STARTING in said if is_second else Draw.of(stage.salt, box_id).sample <= to.sample_threshold
    if not is_sampled or not to.sample_threshold or not any(to.address in ip_network(each) for each in may_go_to):
        return None
    raw = Report(kind, release, box_id).build(key)
    drawn = int.from_bytes(hashlib.sha256(raw).digest()[:4], "big") / 2**32
    return Outgoing(to.address, to.port, raw, min(float(to.spread_s), MOST_DELAY_S) * drawn)
