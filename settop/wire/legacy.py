"""The gate and the early symbols of the receiver that reads packets itself (settop/stitch/receiver.py).

Which announcements are worth a signature check: a check is dear, and headers are free to forge.

Cheap tests come first: the TOI must follow from the header's own hash, so a forger can't ride on the good
release's TOIs. A header seen before costs one look-up. What is left draws on two allowances a second: one for
headers whose symbols are being heard, a small one for the rest. So a flood of forged headers starves only other
headers that nobody sends symbols for.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass

from carousel.errors import FormatError
from carousel.flute.toi import HEADER_TOI_OFFSET, toi_base
from carousel.release.header import HEADER_BYTES, SignedHeader
from carousel.release.identity import ReleaseId
from carousel.release.trust import TrustRing

__all__ = ["Allowance", "AnnouncementGate", "EarlySymbols", "HeardBases"]

MAX_BYTES = 4 << 20
CHECKS_PER_S_HEARD = 20
CHECKS_PER_S_UNHEARD = 10
MAX_REMEMBERED = 4096
MAX_BASES = 32
MAX_EARLY_BASES = 8


class Allowance:
    """So many a second, at most one second's worth at once."""

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._left = per_s
        self._last_s: float | None = None

    def take(self, now: float) -> bool:
        """Say whether one more may be had now."""
        if self._last_s is not None:
            self._left = min(self._per_s, self._left + max(0.0, now - self._last_s) * self._per_s)
        self._last_s = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class HeardBases:
    """The TOI bases of which most symbols were heard: Space-Saving (Metwally et al.) over 32 counters."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, base: int, count: int) -> None:
        """Count symbols of a base; the least heard one makes room."""
        if base not in self._counts and len(self._counts) >= MAX_BASES:
            least, heard = min(self._counts.items(), key=lambda item: item[1])
            del self._counts[least]
            count += heard
        self._counts[base] += count

    def __contains__(self, base: int) -> bool:
        return base in self._counts


@dataclass
class AnnouncementGate:
    """Turns header packets into authentic headers, once each; `counts` tells what became of the others."""

    trust: TrustRing
    counts: Counter[str]

    def __post_init__(self) -> None:
        self._seen: dict[bytes, None] = {}
        self._heard_allowance = Allowance(CHECKS_PER_S_HEARD)
        self._unheard_allowance = Allowance(CHECKS_PER_S_UNHEARD)

    def admit(self, toi: int, raw: bytes, heard: HeardBases, now: float) -> SignedHeader | None:
        """Return the header if it is authentic and new; else count why not."""
        digest = hashlib.sha256(raw).digest()
        base = toi_base(ReleaseId(digest[:16]))
        if len(raw) != HEADER_BYTES or toi != base + HEADER_TOI_OFFSET:
            self.counts["header_toi"] += 1
            return None
        if digest in self._seen:
            self.counts["header_repeated"] += 1
            return None
        allowance = self._heard_allowance if base in heard else self._unheard_allowance
        if not allowance.take(now):
            self.counts["header_postponed"] += 1
            return None
        if len(self._seen) >= MAX_REMEMBERED:
            del self._seen[next(iter(self._seen))]
        self._seen[digest] = None
        return self._authenticate(raw)

    def forget(self, header: SignedHeader) -> None:
        """Let this header be taken anew when it is heard again."""
        self._seen.pop(hashlib.sha256(header.raw).digest(), None)

    def _authenticate(self, raw: bytes) -> SignedHeader | None:
        try:
            header = SignedHeader.parse(raw)
        except FormatError as error:
            self.counts[error.reason] += 1
            return None
        if not self.trust.knows(header):
            self.counts["unknown_key"] += 1
            return None
        if not self.trust.believes(header):
            self.counts["bad_signature"] += 1
            return None
        return header


class EarlySymbols:
    """Packets by TOI base. The first 4 MiB and the first 8 bases win: nobody can push out what is kept."""

    def __init__(self) -> None:
        self._packets: dict[int, list[bytes]] = {}
        self._bytes = 0

    def keep(self, base: int, packet: bytes) -> bool:
        """Keep a packet if there is room; say whether it was kept."""
        if self._bytes + len(packet) > MAX_BYTES:
            return False
        if base not in self._packets and len(self._packets) >= MAX_EARLY_BASES:
            return False
        self._packets.setdefault(base, []).append(packet)
        self._bytes += len(packet)
        return True

    def release(self, base: int) -> list[bytes]:
        """Return what was kept of a base, and forget it."""
        packets = self._packets.pop(base, [])
        self._bytes -= sum(map(len, packets))
        return packets
