"""Which announcements are worth a signature check: a check is dear, and headers are free to forge.

    header ──► looks like one? ──► known? ──► names a key of ours? ──► pending ──► signature ──► Announcement
               (CRC)               (look-up)                           (ranked)    (so many a second)

All that is cheap comes first and is done for every header. What is left waits: at most `MAX_PENDING`, ranked by how
much is heard of the release, and the most heard one has the next check. So a flood of forged headers can't postpone the
one whose symbols fill the air; a forger would have to send more than the head-end does, for each header anew. A header
is checked once: good and bad ones are remembered, in two memories, so that forged ones never push out a good one.
Transport independent: a header's place on the wire is checked by who hears it (settop/wire/flute.py).
"""

from typing import NamedTuple, TypeVar

from carousel.errors import FormatError
from carousel.release.header import SignedHeader, claimed_key_id
from carousel.release.identity import ReleaseId
from carousel.release.trust import TrustRing
from settop.wire.tally import Reason, Tally
from settop.wire.volume import HeardVolume

__all__ = [
    "CHECKS_PER_S",
    "MAX_ADMITTED",
    "MAX_PENDING",
    "MAX_REFUSED",
    "Allowance",
    "AnnouncementGate",
]

CHECKS_PER_S = 30
"""A check costs 0.1 ms, on a board 1 ms: 3 % of its processor."""
MAX_PENDING = 64
MAX_ADMITTED = 256
MAX_REFUSED = 4096

Value = TypeVar("Value")


class Allowance:
    """So many a second, at most one second's worth at once."""

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._left = per_s
        self._last_s: float | None = None

    def left(self, now: float) -> int:
        """Return how many may be had now."""
        if self._last_s is not None:
            self._left = min(self._per_s, self._left + max(0.0, now - self._last_s) * self._per_s)
        self._last_s = now
        return int(self._left)

    def spend(self, count: int) -> None:
        """Take so many away, even more than there are: what is owed is waited for."""
        self._left -= count

    def take(self, now: float) -> bool:
        """Take one, and say whether there was one."""
        if self.left(now) < 1:
            return False
        self.spend(1)
        return True


class _Pending(NamedTuple):
    raw: bytes
    number: int


class AnnouncementGate:
    """Turns the bytes of headers into authentic headers, once each; `tally` tells what became of the others."""

    def __init__(self, trust: TrustRing, volume: HeardVolume, tally: Tally) -> None:
        self._trust = trust
        self._volume = volume
        self._tally = tally
        self._admitted: dict[ReleaseId, None] = {}
        self._refused: dict[ReleaseId, Reason] = {}
        self._pending: dict[ReleaseId, _Pending] = {}
        self._allowance = Allowance(CHECKS_PER_S)

    def hear(self, release: ReleaseId, raw: bytes, number: int) -> None:
        """Take one sighting of a header whose ID is `release`; its symbols are counted under `number`."""
        if release in self._admitted:
            self.hear_again(release)
        elif release in self._refused:
            self._tally.count(self._refused[release])
        elif release not in self._pending and self._is_worth_a_check(raw):
            self._wait(release, _Pending(raw, number))

    def hear_again(self, release: ReleaseId) -> None:
        """Take one sighting of an admitted header: who is not heard for longest is forgotten first."""
        self._admitted[release] = self._admitted.pop(release, None)
        self._tally.count(Reason.HEADER_REPEATED)

    def judge(self, now: float) -> list[SignedHeader]:
        """Check what waits, the most heard first, as far as the allowance goes; return the authentic ones."""
        authentic = []
        while self._pending and self._allowance.take(now):
            release = max(self._pending, key=self._volume_of)
            header = self._authenticate(self._pending.pop(release).raw)
            if isinstance(header, SignedHeader):
                _remember(self._admitted, release, None, MAX_ADMITTED)
                authentic.append(header)
            else:
                self._tally.count(header)
                _remember(self._refused, release, header, MAX_REFUSED)
        return authentic

    @property
    def has_pending(self) -> bool:
        """Whether headers wait of which anything else is heard."""
        return any(map(self._volume_of, self._pending))

    def knows(self, release: ReleaseId) -> bool:
        """Say whether a header was found authentic, and not forgotten since."""
        return release in self._admitted

    def forget(self, release: ReleaseId) -> None:
        """Let this header be taken anew when it is heard again."""
        self._admitted.pop(release, None)

    def _is_worth_a_check(self, raw: bytes) -> bool:
        try:
            key_id = claimed_key_id(raw)
        except FormatError as error:
            self._tally.count(Reason(error.reason))
            return False
        if key_id in self._trust.keys:
            return True
        self._tally.count(Reason.UNKNOWN_KEY)
        self._tally.claim(key_id)
        return False

    def _wait(self, release: ReleaseId, newcomer: _Pending) -> None:
        """Let a header wait for its check; where too many do, the least heard one goes."""
        if len(self._pending) >= MAX_PENDING:
            self._tally.count(Reason.HEADER_POSTPONED)
            least = min(self._pending, key=self._volume_of)
            if self._volume_of(least) >= self._volume.of(newcomer.number):
                return
            del self._pending[least]
        self._pending[release] = newcomer

    def _volume_of(self, release: ReleaseId) -> int:
        return self._volume.of(self._pending[release].number)

    def _authenticate(self, raw: bytes) -> SignedHeader | Reason:
        try:
            header = SignedHeader.parse(raw)
        except FormatError as error:
            return Reason(error.reason)
        return header if self._trust.believes(header) else Reason.BAD_SIGNATURE


def _remember(memory: "dict[ReleaseId, Value]", release: ReleaseId, value: "Value", most: int) -> None:
    while len(memory) >= most:
        del memory[next(iter(memory))]
    memory[release] = value
