"""Streams in virtual time, for the tests of SSU."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from carousel.flute.releasefile import Release
from carousel.ssu.reassembly import SectionFilter
from carousel.ssu.transport import PACKET_BYTES, pids_of
from headend.cast.broadcaster import Broadcaster
from headend.cast.settings import BroadcastSettings
from headend.cast.ssu import SsuFormat, SsuSettings

RATE_BPS = 8e6


@dataclass
class Stream:
    """A carousel that turns in virtual time; `sent` are (time, datagram) so far."""

    broadcaster: Broadcaster
    format: SsuFormat
    now: float = 0.0

    def __post_init__(self) -> None:
        self.sent: list[tuple[float, bytes]] = []

    @classmethod
    def of(cls, *releases: Release, rate_bps: float = RATE_BPS, seed: int = 0, **settings) -> "Stream":
        ssu = SsuSettings(rate_bps, **settings)
        made = SsuFormat(ssu)
        return cls(Broadcaster(list(releases), BroadcastSettings(ssu.wire_rate_bps, seed=seed), 0.0, made), made)

    def run(self, until: Callable[["Stream"], bool]) -> "Stream":
        while not until(self):
            self.now = max(self.now, self.broadcaster.due(self.now))
            batch = self.broadcaster.next_batch(self.now)
            self.sent += [(self.now, batch.packet(index)) for index in range(batch.count)]
        return self

    def cycles(self, count: int) -> "Stream":
        return self.run(lambda stream: stream.broadcaster.cycles_done >= count)

    def seconds(self, count: float) -> "Stream":
        return self.run(lambda stream: stream.now >= count)

    def replace(self, *releases: Release) -> None:
        self.broadcaster.replace(list(releases), self.now)

    @property
    def packets(self) -> np.ndarray:
        return packets_in(b"".join(datagram for _, datagram in self.sent))


def packets_in(stream: bytes) -> np.ndarray:
    return np.frombuffer(stream, dtype=np.uint8).reshape(-1, PACKET_BYTES)


def assert_continuity(packets: np.ndarray) -> None:
    pids = pids_of(packets)
    for pid in np.unique(pids).tolist():
        if pid == 0x1FFF:
            continue
        counters = packets[(pids == pid) & (packets[:, 3] & 0x10 != 0), 3] & 0xF
        assert (np.diff(counters.astype(np.int64)) % 16 == 1).all(), f"continuity of PID {pid:#x}"


def sections_in(packets: np.ndarray, *pids: int) -> list[bytes]:
    """All whole sections of some PIDs, in order where they are of one length; every one must be intact."""
    counts: Counter[str] = Counter()
    section_filter = SectionFilter(counts)
    section_filter.wanted[list(pids)] = True
    found = [row.tobytes() for rows in section_filter.receive(packets) for row in rows.rows]
    assert not counts["section_crc"]
    return found
