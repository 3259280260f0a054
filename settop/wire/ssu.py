"""The DVB-SSU transport: datagrams in, symbols landed, headers and bulletins out (settop/stitch/seam.py).

    datagrams ──► transport packets ──► sections of the PIDs that the PMT names for this maker
                                           │
       PAT, PMT ◄──────────────────────────┼──► DSI (private data), header module ──► gate ──► Announcement
       which PIDs to look at               │
                                           └──► DDB: downloadId ──► release, its carousel ──► module, block ──► Landing

Nothing is believed but signatures: PAT and PMT only add PIDs to look at, so forged ones cost work and take nothing
away. Which release a block belongs to follows from its downloadId alone, which follows from the release's ID
(carousel/ssu/modules.py); PIDs may be renumbered on the way. The DII is not read: what it says follows from the header.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from carousel.buffers import Buffer, Bytes, IntArray, as_bytes
from carousel.distinct import distinct
from carousel.errors import FormatError
from carousel.frozen import Frozen
from carousel.release.header import HEADER_BYTES, SignedHeader
from carousel.release.identity import ReleaseId
from carousel.release.layout import ReleaseLayout
from carousel.release.trust import TrustRing
from carousel.ssu.dsmcc import MessageId, parse_dsi, parse_message, read_blocks
from carousel.ssu.modules import (
    BULLETIN_MODULE,
    HEADER_MODULE,
    SIDECAR_BIT,
    UPDATE_BIT,
    SsuModules,
    group_id_of,
    route_of,
)
from carousel.ssu.psi import ANY_OUI, PAT_PID, TableId, parse_pat, parse_pmt
from carousel.ssu.reassembly import SectionFilter, packets_of_datagrams
from carousel.ssu.sections import Section, parse_section
from carousel.ssu.transport import NULL_PID, PACKET_BYTES, Packets, packets_of_section, pids_of
from carousel.take import Landing, Piece
from carousel.take.placing import place
from settop.stitch.seam import Announcement, Arrival, Bulletin, Heard, Symbols, WireStats
from settop.wire.bulletins import BulletinSieve
from settop.wire.early import EarlySymbols
from settop.wire.gate import Allowance, AnnouncementGate
from settop.wire.tally import Reason, Tally
from settop.wire.volume import HeardVolume

__all__ = ["SsuWire"]

ODD_PACKETS_PER_S = 40_000
"""Packets that have to be walked cost about 3 µs each: this much of it, a strange stream can have."""
TABLES_PER_S = 500
"""Tables and messages that were not seen lately cost about 0.1 ms."""
MAX_KNOWN_TABLES = 256
MAX_PMTS = 64
BLIND_S = 2.0
"""So long a box looks at all PIDs that it comes across, while it does not know better."""
BLIND_PIDS = 16
MAX_RELEASES = 64


@dataclass(slots=True)
class _Hearing:
    """What was heard of one carousel of an announced release: blocks of the image that came."""

    last_s: float
    received: int = 0


@dataclass(slots=True)
class _Gaps:
    """How many blocks of one carousel came, announced or not yet, and how many were lost in between."""

    came: int = 0
    lost: float = 0.0


class _Route(Frozen):
    """Where the blocks of one carousel belong. `table` is (level, SBN, first ESI, symbols) by module number."""

    route: int
    release: ReleaseId
    layout: ReleaseLayout
    landings: tuple[Landing, ...]
    table: IntArray

    @property
    def is_sidecar(self) -> bool:
        """Whether this is not the carousel that all boxes read."""
        return bool(self.route & SIDECAR_BIT)


@dataclass
class SsuWire:
    """One box's ear for one transport stream, for boxes of these makers."""

    trust: TrustRing
    ouis: frozenset[int]
    is_rtp: bool = False

    def __post_init__(self) -> None:
        self._tally = Tally()
        self._volume = HeardVolume()
        self._gate = AnnouncementGate(self.trust, self._volume, self._tally)
        self._early = EarlySymbols(self._volume)
        self._counts: Counter[str] = Counter()
        self._filter = SectionFilter(self._counts)
        self._filter.wanted[PAT_PID] = True
        self._routes: dict[int, _Route] = {}
        self._hearing: dict[int, _Hearing] = {}
        """By route, of announced releases."""
        self._gaps: dict[int, _Gaps] = {}
        """By route, of any: a header comes late where packets are lost, and what was lost before it was lost, too."""
        self._pmt_pids: set[int] = set()
        self._is_led = False
        self._since_s: float | None = None
        self._known: dict[tuple[int, bytes], bytes | None] = {}
        self._odd = Allowance(ODD_PACKETS_PER_S)
        self._tables = Allowance(TABLES_PER_S)
        self._bulletins = BulletinSieve()

    def receive(self, buffer: Buffer, pieces: Sequence[Piece], now: float) -> list[Arrival]:
        """Take all datagrams of a wake-up."""
        packets = self._packets(as_bytes(buffer), pieces)
        if not len(packets):
            return []
        if not self._is_led:
            self._look_around(packets, now)
        arrivals: list[Arrival] = []
        for found in self._filter.receive(packets, self._odd.left(now)):
            is_block = found.rows[:, 0] == TableId.BLOCKS
            if is_block.any():
                rows = found.rows if is_block.all() else found.rows[is_block]
                arrivals += self._take_blocks(rows, now, self._filter.lost_packets(found.pid))
            for row in found.rows[~is_block]:
                self._take_table(found.pid, row.tobytes(), now)
        self._odd.spend(self._filter.walked)
        return arrivals + [self._announce(header, now) for header in self._gate.judge(now)]

    def _announce(self, header: SignedHeader, now: float) -> Announcement:
        for route in _routes_of(header.release_id):
            while len(self._hearing) >= 2 * MAX_RELEASES:
                del self._hearing[next(iter(self._hearing))]
            self._hearing[route] = _Hearing(now)
        return Announcement(header)

    def _packets(self, flat: Bytes, pieces: Sequence[Piece]) -> Packets:
        """Return the transport packets of all pieces, in order."""
        parts: list[Packets] = []
        for offset, stride, size in pieces:
            if not stride:
                continue
            whole = size - size % stride
            for start, length in ((offset, whole), (offset + whole, size - whole)):
                if length:
                    rows = flat[start : start + length].reshape(-1, min(stride, length))
                    parts.append(packets_of_datagrams(rows, self.is_rtp, self._counts))
        return (
            parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.empty((0, PACKET_BYTES), np.uint8)
        )

    # --- which PIDs -------------------------------------------------------------------------------------

    def _look_around(self, packets: Packets, now: float) -> None:
        """Look at whatever PIDs come, a few of them and not for long: until a PMT says which are ours."""
        if self._since_s is None:
            self._since_s = now
        if now - self._since_s > BLIND_S:
            return
        room = BLIND_PIDS - int(np.count_nonzero(self._filter.wanted))
        fresh = [pid for pid in dict.fromkeys(pids_of(packets).tolist()) if pid != NULL_PID]
        self._filter.wanted[[pid for pid in fresh if not self._filter.wanted[pid]][: max(0, room)]] = True

    def _take_pat(self, section: Section) -> None:
        for pid in parse_pat(section).values():
            if pid not in self._pmt_pids and len(self._pmt_pids) < MAX_PMTS:
                self._pmt_pids.add(pid)
                self._filter.wanted[pid] = True
                # what came on it before was not read as a PMT
                self._known = {key: header for key, header in self._known.items() if key[0] != pid}

    def _take_pmt(self, section: Section) -> None:
        ours = [stream.pid for stream in parse_pmt(section) if stream.oui in self.ouis or stream.oui == ANY_OUI]
        if ours and not self._is_led:
            self._is_led = True
            self._filter.wanted[:] = False
            self._filter.wanted[[PAT_PID, *self._pmt_pids]] = True
        self._filter.wanted[[pid for pid in ours if pid != NULL_PID]] = True

    # --- tables and messages ----------------------------------------------------------------------------

    def _take_table(self, pid: int, raw: bytes, now: float) -> None:
        """Take one section that is no block; what came before costs a look-up."""
        key = pid, raw
        if key not in self._known:
            if not self._tables.take(now):
                self._counts["tables_dropped"] += 1
                return
            if len(self._known) >= MAX_KNOWN_TABLES:
                del self._known[next(iter(self._known))]
            self._known[key] = self._read_table(pid, raw)
        header = self._known[key]
        if header is not None:
            self._hear_header(header, now)

    def _read_table(self, pid: int, raw: bytes) -> bytes | None:
        """Read a table or message; return the signed header that a DSI carries."""
        try:
            section = parse_section(raw)
            if pid == PAT_PID and section.table_id == TableId.PAT:
                self._take_pat(section)
            elif pid in self._pmt_pids and section.table_id == TableId.PMT:
                self._take_pmt(section)
            elif section.table_id == TableId.MESSAGES:
                kind, _, message = parse_message(section)
                if kind == MessageId.DSI:
                    return next(
                        (each.private for each in parse_dsi(message) if len(each.private) == HEADER_BYTES), None
                    )
        except FormatError as error:
            self._counts[error.reason] += 1
        return None

    def _hear_header(self, raw: bytes, now: float) -> None:
        release = ReleaseId.of(raw)
        for route in _routes_of(release):
            if route in self._hearing:
                self._hearing[route].last_s = now
        self._gate.hear(release, raw, _routes_of(release)[0])

    # --- blocks -----------------------------------------------------------------------------------------

    def _take_blocks(self, rows: Bytes, now: float, lost_packets: int | None) -> list[Arrival]:
        """Take sections of one length; `lost_packets` of their PID did not come. None: they were counted before."""
        blocks = read_blocks(rows)
        self._counts["odd_blocks"] += len(rows) - len(blocks.block)
        routes = route_of(blocks.download_id)
        arrivals: list[Arrival] = []
        for route in distinct(routes).tolist():
            mine = np.flatnonzero(routes == route)
            module, block, data = blocks.module[mine] & 0xFF, blocks.block[mine], blocks.data[mine]
            if route & SIDECAR_BIT and data.shape[1] == HEADER_BYTES and (module == HEADER_MODULE).all():
                self._hear_header(data[0].tobytes(), now)
                continue
            if route & SIDECAR_BIT and (module == BULLETIN_MODULE).all():
                arrivals += self._receive_bulletins([each.tobytes() for each in data], now)
                continue
            self._volume.add(route & ~SIDECAR_BIT, len(mine), now)
            if lost_packets is not None:
                self._count_gaps(route, len(mine), lost_packets / packets_of_section(rows.shape[1]))
            if route in self._hearing:
                self._hearing[route].last_s = now
            known = self._routes.get(route)
            if known is not None:
                arrivals += self._land(known, module, block, data)
            elif route in self._hearing:
                self._hearing[route].received += len(mine)
                self._tally.count(Reason.REFUSED_RELEASE, len(mine))
            else:
                kept = sum(self._early.keep(route & ~SIDECAR_BIT, row.data) for row in rows[mine])
                self._tally.count(Reason.EARLY, kept)
                self._tally.count(Reason.EARLY_DROPPED, len(mine) - kept)
        return arrivals

    def _count_gaps(self, route: int, came: int, lost: float) -> None:
        """Count blocks of a carousel; where there are too many of them, the first one that is not announced goes."""
        if route not in self._gaps and len(self._gaps) >= 2 * MAX_RELEASES:
            del self._gaps[next((each for each in self._gaps if each not in self._hearing), next(iter(self._gaps)))]
        gaps = self._gaps.setdefault(route, _Gaps())
        gaps.came += came
        gaps.lost += lost

    def _receive_bulletins(self, bulletins: list[bytes], now: float) -> list[Bulletin]:
        passed = [Bulletin(raw) for raw in bulletins if self._bulletins.passes(raw, now)]
        self._tally.count(Reason.BULLETIN_DROPPED, len(bulletins) - len(passed))
        return passed

    def _land(self, known: _Route, module: IntArray, block: IntArray, data: Bytes) -> list[Symbols]:
        """Put blocks of one carousel where they belong, all of one size."""
        level, sbn, first_esi, count = known.table[module].T
        esi, good = first_esi + block, block < count
        size = known.layout.symbol_size
        if data.shape[1] != size:
            image = known.layout.objects[0]
            is_last = image.first_rows[np.minimum(sbn, image.blocks - 1)] + esi == image.source_symbols - 1
            last_size = image.transfer_length - (image.source_symbols - 1) * size
            good &= is_last & (data.shape[1] == last_size and not known.is_sidecar)
            data = np.pad(data[:, :size], ((0, 0), (0, max(0, size - data.shape[1]))))
        self._tally.count(Reason.OUT_OF_RANGE, len(good) - int(np.count_nonzero(good)))
        symbols = []
        for one in distinct(level[good]).tolist():
            mine = np.flatnonzero(good & (level == one))
            if one == 0:
                self._hearing[known.route].received += len(mine)
            placed = place(known.landings[one], sbn[mine], esi[mine], data[mine])
            for reason, packets in (
                (Reason.DUPLICATE, placed.duplicates),
                (Reason.IGNORED, placed.ignored),
                (Reason.OUT_OF_RANGE, placed.out_of_range),
                (Reason.NO_ROOM, placed.no_room),
            ):
                self._tally.count(reason, packets)
            if len(placed.rows):
                symbols.append(Symbols(known.release, one, placed.rows, placed.filled))
        return symbols

    # --- releases ---------------------------------------------------------------------------------------

    def open(
        self, header: SignedHeader, layout: ReleaseLayout, landings: Sequence[Landing], now: float
    ) -> list[Symbols]:
        """Let a release's symbols land from now on; return what came before its header."""
        modules = SsuModules(layout)
        if modules.problem() is not None:
            return []
        main, sidecar = _routes_of(header.release_id)
        tables = ((main, modules.main_table), (sidecar, modules.sidecar_table))
        for route, table in tables:
            self._hearing.setdefault(route, _Hearing(now))
            self._routes[route] = _Route(route, header.release_id, layout, tuple(landings), table)
        symbols: list[Symbols] = []
        memory, pieces = self._early.release(main)
        early = np.frombuffer(memory, dtype=np.uint8)
        for size in dict.fromkeys(piece.size for piece in pieces):
            rows = np.stack([early[piece.offset : piece.offset + size] for piece in pieces if piece.size == size])
            symbols += [each for each in self._take_blocks(rows, now, None) if isinstance(each, Symbols)]
        return symbols

    def close(self, release: ReleaseId) -> None:
        """Touch this release's landings no more."""
        for route in _routes_of(release):
            self._routes.pop(route, None)

    def take_again(self) -> list[Symbols]:
        """Return nothing: what is forged of a module is found when its block is whole, long after the wake-up."""
        return []

    def forget(self, release: ReleaseId) -> None:
        """Announce this release anew when it is heard again."""
        self._gate.forget(release)
        for route in _routes_of(release):
            if route not in self._routes:
                self._hearing.pop(route, None)

    def heard(self, release: ReleaseId) -> Heard:
        """Return what was heard of a release on both its carousels."""
        known = [self._hearing[route] for route in _routes_of(release) if route in self._hearing]
        if not known:
            return Heard(-math.inf)
        gaps = [self._gaps[route] for route in _routes_of(release) if route in self._gaps]
        came, lost = sum(each.came for each in gaps), round(sum(each.lost for each in gaps))
        return Heard(max(each.last_s for each in known), sum(each.received for each in known), lost, came + lost)

    @property
    def has_pending(self) -> bool:
        """Whether headers wait for their signature check."""
        return self._gate.has_pending

    @property
    def stats(self) -> WireStats:
        """What became of the other packets; `corrupt` are sections."""
        stats = self._tally.stats()
        own = tuple((name, count) for name, count in sorted(self._counts.items()) if count and name != "section_crc")
        corrupt = stats.corrupt + self._counts["section_crc"]
        return stats.but(corrupt=corrupt, rejected=(*stats.rejected, *own))


def _routes_of(release: ReleaseId) -> tuple[int, int]:
    """Return the routes of a release's main carousel and of its sidecar."""
    main, sidecar = (group_id_of(release, is_sidecar) & ~UPDATE_BIT for is_sidecar in (False, True))
    return main, sidecar
