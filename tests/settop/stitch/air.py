"""A release's symbols without a wire: put on landings by the real take, in any order, genuine or forged."""

from collections.abc import Iterable

import numpy as np

from bench.virtual.memory import landings_in_memory
from carousel.fec import codec
from carousel.flute.alc import PLAIN_HEADER_BYTES, plain_prefix, render_packet
from carousel.flute.interleave import transmit_places
from carousel.flute.releasefile import Release, digest_places
from carousel.flute.toi import toi_base
from carousel.take import Piece, Target, Targets, taker
from settop.events import Event
from settop.stitch.assembly import Assembly
from settop.stitch.jobs import run_job
from settop.stitch.seam import Symbols

Places = Iterable[tuple[int, int]]


class Air:
    """One release on the air, and one box's assembly of it."""

    def __init__(self, release: Release, can_decode: bool = True) -> None:
        self.release = release
        self.layout = release.layout
        self.landings = landings_in_memory(release.layout)
        self.events: list[Event] = []
        self.jobs: list[str] = []
        self.assembly = self.assemble(can_decode)
        base, fec = toi_base(release.header.release_id), release.layout.objects[0].fec
        self._prefixes = [plain_prefix(release.tsi, base + level, fec)[0] for level in range(len(self.landings))]
        self._fec = fec
        self.retarget()

    def retarget(self) -> None:
        """Let symbols land in `landings` from now on."""
        self._targets = Targets(list(map(Target, self._prefixes, self.landings)))

    def assemble(self, can_decode: bool = True, resumed: bool = False) -> Assembly:
        """Begin an assembly over the same landings."""
        self.assembly = Assembly(self.release.header, self.layout, self.landings, resumed, can_decode)
        return self.assembly

    def packet(self, level: int, sbn: int, esi: int) -> bytes:
        """Return a genuine packet."""
        geometry, place = self.layout.objects[level], (np.array([sbn]), np.array([esi]))
        if level:
            number = self.release.image_packets + int(digest_places(self.layout, level, *place)[0])
        else:
            number = int(transmit_places(geometry, *place)[0])
        return bytes(self.release.packet_bytes(number, 1))

    def symbol(self, level: int, sbn: int, esi: int) -> bytes:
        return self.packet(level, sbn, esi)[PLAIN_HEADER_BYTES:]

    def forged(self, level: int, sbn: int, esi: int, seed: int = 0) -> bytes:
        """Return a packet with noise for a symbol and the right CRC."""
        symbol = np.random.default_rng([seed, level, sbn, esi]).bytes(self.layout.symbol_size)
        return self.packet_of(level, sbn, esi, symbol)

    def packet_of(self, level: int, sbn: int, esi: int, symbol: bytes) -> bytes:
        """Return a packet with any symbol and the right CRC."""
        toi = toi_base(self.release.header.release_id) + level
        return render_packet(self.release.tsi, toi, self._fec, sbn << 24 | esi, symbol)

    def hear(self, packets: Iterable[bytes]) -> int:
        """Let packets land, and the assembly take note; return how many symbols were new."""
        heard = list(packets)
        size = len(heard[0])
        pieces = [Piece(0, size, size * len(heard))]
        taken = taker().take(self._targets, b"".join(heard), pieces)
        for level in range(len(self.landings) - 1, -1, -1):
            filled = tuple(sbn for target, sbn in taken.filled if target == level)
            if len(taken.rows[level]):
                release = self.release.header.release_id
                self.assembly.take(Symbols(release, level, taken.rows[level], filled))
        return taken.taken

    def hear_symbols(self, level: int, places: Places) -> int:
        return self.hear(self.packet(level, *place) for place in places)

    def hear_digests(self, block_digests_only: bool = False) -> None:
        """Let the digest levels come, from the top."""
        urgent = {level: set() for level in range(1, self.layout.top + 1)}
        for level, row in self.layout.urgent_symbols():
            urgent[level].add(row)
        for level in range(self.layout.top, 0, -1):
            rows = sorted(urgent[level]) if block_digests_only else range(self.layout.objects[level].source_symbols)
            sbn, esi = self.layout.objects[level].symbols_of(np.array(rows))
            self.hear_symbols(level, zip(sbn.tolist(), esi.tolist(), strict=True))

    def hear_block(self, sbn: int, esis: Iterable[int] | None = None) -> int:
        """Let a block's symbols come: its source symbols, or these."""
        size = int(self.layout.objects[0].block_sizes[sbn])
        return self.hear_symbols(0, ((sbn, esi) for esi in (range(size) if esis is None else esis)))

    def work(self, limit: int = 1000) -> None:
        """Do all jobs that there are."""
        for _ in range(limit):
            job = self.assembly.next_job()
            if job is None:
                return
            assert job.landing is self.landings[job.level]
            assert job.release == self.release.header.release_id
            self.jobs.append(type(job).__name__)
            self.events += self.assembly.finish_job(run_job(job, codec()))
        raise AssertionError("jobs without end")

    @property
    def image(self) -> bytes:
        return self.landings[0].source.tobytes()[: self.release.header.image_size]
