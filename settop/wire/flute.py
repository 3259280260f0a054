"""FLUTE over ALC, as a box hears it: packets in; symbols at their places, announcements and bulletins out.

    wake-up ──► take: plain packets of opened releases ──► Symbols                    (one native call)
                  │ the others, sorted by their first 24 bytes
                  ├──► announcements ──► gate (settop/wire/gate.py) ──► Announcement
                  ├──► symbols of a release not announced yet ──► kept, bounded, until it is opened
                  ├──► bulletins ──► Bulletin
                  ├──► other sessions, FDTs, releases that nobody opened: counted
                  └──► odd ones ──► parse_packet, so many a second ──► rendered plain, and taken like the others

Nothing but a header's signature is believed: FDTs, FTIs, A and B flags are counted and ignored. Work per wake-up is
bounded by what a wake-up brings; what costs more than a look has an allowance.
"""

import math
from collections.abc import Sequence

from carousel.buffers import Buffer, Bytes, IntArray, as_bytes
from carousel.errors import FormatError
from carousel.flute.alc import (
    PLAIN_HEADER_BYTES,
    AlcPacket,
    Extension,
    crc_of_packet,
    parse_packet,
    plain_prefix,
    render_packet,
)
from carousel.flute.toi import FDT_TOI, HEADER_TOI_OFFSET, RESERVED_BASE, base_of_toi, header_toi, toi_base
from carousel.release.header import SignedHeader
from carousel.release.identity import ReleaseId
from carousel.release.layout import ReleaseLayout
from carousel.release.trust import TrustRing
from carousel.take import Landing, Piece, Taken, Target, Targets, taker
from settop.stitch.seam import Announcement, Arrival, Bulletin, Heard, Symbols, WireStats
from settop.wire.again import Lots, contested
from settop.wire.bulletins import BulletinSieve
from settop.wire.early import EarlySymbols
from settop.wire.gaps import LossEstimate
from settop.wire.gate import MAX_ADMITTED, Allowance, AnnouncementGate
from settop.wire.sorting import Sorted, sort_packets
from settop.wire.tally import Reason, Tally
from settop.wire.volume import HeardVolume

__all__ = ["FluteWire"]

ODD_PACKETS_PER_S = 500
"""Parsing costs about 50 µs a packet: this much of it, a flood can have."""
MAX_BULLETIN_BYTES = 2048
MOST_ANNOUNCEMENTS = 256
"""Headers of one wake-up that are hashed, those of the most heard releases first."""


class _Known:
    """A release whose header is authentic; `loss` is None until it is opened."""

    def __init__(self, release: ReleaseId, last_s: float) -> None:
        self.release = release
        self.last_s = last_s
        self.received = 0
        self.loss: LossEstimate | None = None
        self.first_target = 0
        self.levels: tuple[Target, ...] = ()


class FluteWire:
    """One session (TSI) of one group, as `settop.stitch.seam.Wire` describes it.

    `seed`: what nobody on the network may know, so that nobody foresees in which order contested packets are taken.
    """

    def __init__(self, tsi: int, trust: TrustRing, seed: int = 0) -> None:
        self._tsi = tsi
        self._lots = Lots(seed)
        self._last: tuple[Buffer, Sequence[Piece]] = (b"", ())
        self._tally = Tally()
        self._volume = HeardVolume()
        self._gate = AnnouncementGate(trust, self._volume, self._tally)
        self._early = EarlySymbols(self._volume)
        self._known: dict[int, _Known] = {}
        """By TOI base. Two releases with one base can't be told apart by their packets: the first one counts."""
        self._announced: list[int] = []
        self._targets = Targets([])
        self._odd_allowance = Allowance(ODD_PACKETS_PER_S)
        self._bulletins = BulletinSieve()

    # --- the driver's side --------------------------------------------------------------------------------

    def receive(self, buffer: Buffer, pieces: Sequence[Piece], now: float) -> list[Arrival]:
        """Take all packets of a wake-up."""
        self._drop_unopened()
        flat = as_bytes(buffer)
        taken = taker().take(self._targets, buffer, pieces)
        self._last = buffer, pieces
        arrivals: list[Arrival] = [*self._symbols_of(taken, now)]
        self._look_for_loss(flat, pieces, taken)
        if len(taken.unmatched):
            arrivals += self._receive_unmatched(flat, taken, now)
        return arrivals + self._admit(now)

    def open(
        self, header: SignedHeader, layout: ReleaseLayout, landings: Sequence[Landing], now: float
    ) -> list[Symbols]:
        """Let a release's symbols land from now on, level i in landing i; return what came before its header.

        `ValueError` if there are not as many landings as objects, or more targets than a take serves.
        """
        release = header.release_id
        base, fec = toi_base(release), layout.objects[0].fec
        if len(landings) != len(layout.objects) or base == RESERVED_BASE:
            raise ValueError(f"{len(landings)} landings for {len(layout.objects)} objects at TOI base {base}")
        known = self._known.setdefault(base, _Known(release, now))
        known.levels = tuple(
            Target(plain_prefix(self._tsi, base + level, fec)[0], landing) for level, landing in enumerate(landings)
        )
        known.loss = LossEstimate(layout.objects[0], known.levels[0].prefix)
        self._set_targets()
        memory, pieces = self._early.release(base)
        if not pieces:
            return []
        taken = taker().take(self._targets, memory, pieces)
        self._last = memory, pieces
        return self._symbols_of(taken, now)

    def take_again(self) -> list[Symbols]:
        """Take packets of the last wake-up again that lost their row to one that proved forged; each counts once."""
        buffer, pieces = self._last
        packets = contested(self._targets, as_bytes(buffer), pieces, self._lots) if pieces else ()
        return self._rows_of(taker().take(self._targets, buffer, packets)) if len(packets) else []

    def close(self, release: ReleaseId) -> None:
        """Touch this release's landings no more."""
        known = self._known.get(toi_base(release))
        if known is not None and known.release == release:
            known.levels, known.loss = (), None
            self._set_targets()

    def forget(self, release: ReleaseId) -> None:
        """Announce this release anew when it is heard again; it is closed, if it was open."""
        self.close(release)
        self._gate.forget(release)
        known = self._known.get(toi_base(release))
        if known is not None and known.release == release:
            del self._known[toi_base(release)]

    def heard(self, release: ReleaseId) -> Heard:
        """Return what was heard of a release, wanted or not."""
        known = self._known.get(toi_base(release))
        if known is None or known.release != release:
            return Heard(-math.inf)
        loss = known.loss
        return Heard(known.last_s, known.received, loss.lost if loss else 0, loss.expected if loss else 0)

    @property
    def has_pending(self) -> bool:
        """Whether headers of releases that are heard wait for their signature check."""
        return self._gate.has_pending

    @property
    def stats(self) -> WireStats:
        """What became of the packets that brought no symbol."""
        return self._tally.stats()

    # --- the hot path -------------------------------------------------------------------------------------

    def _set_targets(self) -> None:
        targets: list[Target] = []
        for known in self._known.values():
            known.first_target = len(targets)
            targets += known.levels
        self._targets = Targets(targets)

    def _symbols_of(self, taken: Taken, now: float) -> list[Symbols]:
        tally = self._tally
        tally.count(Reason.CORRUPT, taken.corrupt)
        tally.count(Reason.DUPLICATE, taken.duplicates)
        tally.count(Reason.IGNORED, taken.ignored)
        tally.count(Reason.OUT_OF_RANGE, taken.out_of_range)
        tally.count(Reason.NO_ROOM, taken.no_room)
        for known in self._known.values():
            heard = taken.heard[known.first_target : known.first_target + len(known.levels)]
            if any(heard):
                known.last_s = now
                known.received += heard[0]
        return self._rows_of(taken)

    def _rows_of(self, taken: Taken) -> list[Symbols]:
        symbols = []
        for known in self._known.values():
            for level in range(len(known.levels)):
                target = known.first_target + level
                if len(taken.rows[target]):
                    filled = tuple(sbn for owner, sbn in taken.filled if owner == target)
                    symbols.append(Symbols(known.release, level, taken.rows[target], filled))
        return symbols

    def _look_for_loss(self, flat: Bytes, pieces: Sequence[Piece], taken: Taken) -> None:
        for known in self._known.values():
            if known.loss is not None and taken.heard[known.first_target]:
                known.loss.look(flat, pieces, taken.heard[known.first_target])

    # --- the others ---------------------------------------------------------------------------------------

    def _receive_unmatched(self, flat: Bytes, taken: Taken, now: float) -> list[Arrival]:
        packets = taken.unmatched
        kinds = sort_packets(flat, packets, self._tsi)
        self._tally.count(Reason.TSI, len(kinds.foreign))
        self._tally.count(Reason.FDT, len(kinds.fdt))
        odd = kinds.odd.tolist()
        if len(kinds.symbols):
            odd += self._receive_symbols(flat, packets, kinds, now)
        self._hear(flat, packets[kinds.announcements], kinds.toi[kinds.announcements].tolist(), now)
        arrivals: list[Arrival] = []
        for at, size in packets[kinds.bulletins].tolist():
            arrivals += self._receive_bulletin(flat[at : at + size].tobytes(), now)
        return arrivals + self._receive_odd([flat[at : at + size] for at, size in packets[odd].tolist()], now)

    def _receive_symbols(self, flat: Bytes, packets: IntArray, kinds: Sorted, now: float) -> list[int]:
        """Count or keep plain data packets; return those of opened releases, which must be odd somehow."""
        odd: list[int] = []
        bases = base_of_toi(kinds.toi[kinds.symbols])
        for base in dict.fromkeys(bases.tolist()):
            mine = kinds.symbols[bases == base]
            known = self._known.get(base)
            if known is None:
                self._volume.add(base, len(mine), now)
                self._keep_early(flat, packets[mine], base)
            elif known.levels:
                odd += mine.tolist()
            else:
                known.last_s = now
                self._tally.count(Reason.REFUSED_RELEASE, len(mine))
        return odd

    def _receive_bulletin(self, raw: bytes, now: float) -> list[Arrival]:
        if len(raw) > PLAIN_HEADER_BYTES + MAX_BULLETIN_BYTES or not self._bulletins.passes(raw, now):
            self._tally.count(Reason.BULLETIN_DROPPED)
        elif int.from_bytes(raw[20:24], "big") != crc_of_packet(raw):
            self._tally.count(Reason.CORRUPT)
        else:
            return [Bulletin(raw[PLAIN_HEADER_BYTES:])]
        return []

    def _keep_early(self, flat: Bytes, packets: IntArray, base: int) -> None:
        """Keep what may be of a release announced soon; as soon as there is no room, the others cost nothing."""
        looked_at = corrupt = 0
        for at, size in packets.tolist():
            packet = flat[at : at + size].data
            if int.from_bytes(packet[20:24], "big") != crc_of_packet(packet):
                corrupt += 1
            elif not self._early.keep(base, packet):
                break
            looked_at += 1
        self._tally.count(Reason.CORRUPT, corrupt)
        self._tally.count(Reason.EARLY, looked_at - corrupt)
        self._tally.count(Reason.EARLY_DROPPED, len(packets) - looked_at)

    def _receive_odd(self, packets: Sequence[Bytes], now: float) -> list[Arrival]:
        """Parse packets that are not plain; render their symbols plain, and take them like all others."""
        plain: list[bytes] = []
        for at, packet in enumerate(packets):
            if not self._odd_allowance.take(now):
                self._tally.count(Reason.ODD_DROPPED, len(packets) - at)
                break
            try:
                parsed = parse_packet(packet.tobytes())
            except FormatError as error:
                self._tally.count(Reason(error.reason))
                continue
            plain += self._plain_of(parsed, now)
        if not plain:
            return []
        pieces, at = [], 0
        for raw in plain:
            pieces.append(Piece(at, len(raw), len(raw)))
            at += len(raw)
        return list(self._symbols_of(taker().take(self._targets, b"".join(plain), pieces), now))

    def _plain_of(self, packet: AlcPacket, now: float) -> list[bytes]:
        """Return a packet as its release would send it plain, or nothing where it is no symbol of ours."""
        if packet.close_session or packet.close_object:
            self._tally.count(Reason.CLOSE_FLAG)
        known = self._known.get(base_of_toi(packet.toi))
        if packet.tsi != self._tsi:
            self._tally.count(Reason.TSI)
        elif packet.toi == FDT_TOI or packet.extension(Extension.FDT) is not None:
            self._tally.count(Reason.FDT)
        elif packet.crc is None:
            self._tally.count(Reason.NO_CRC)
        elif packet.toi - base_of_toi(packet.toi) == HEADER_TOI_OFFSET:
            self._hear_header(packet.toi, packet.symbol, now)
        elif known is None or packet.toi - base_of_toi(packet.toi) >= len(known.levels):
            self._tally.count(Reason.TOI)
        else:
            geometry = known.levels[packet.toi - base_of_toi(packet.toi)].landing.geometry
            image = known.levels[0].landing.geometry
            if len(packet.symbol) != geometry.symbol_size:
                self._tally.count(Reason.SYMBOL_SIZE)
            elif packet.codepoint != image.fec:
                self._tally.count(Reason.CODEPOINT)
            else:
                return [render_packet(self._tsi, packet.toi, packet.codepoint, packet.payload_id, packet.symbol)]
        return []

    # --- announcements ------------------------------------------------------------------------------------

    def _hear(self, flat: Bytes, packets: IntArray, tois: list[int], now: float) -> None:
        """Look at the headers of a wake-up; where there are too many, at those of the most heard releases."""
        order = list(range(len(tois)))
        if len(order) > MOST_ANNOUNCEMENTS:
            order.sort(key=lambda index: self._volume.of(base_of_toi(tois[index])), reverse=True)
            self._tally.count(Reason.HEADER_POSTPONED, len(order) - MOST_ANNOUNCEMENTS)
        for index in order[:MOST_ANNOUNCEMENTS]:
            at, size = packets[index].tolist()
            packet = flat[at : at + size].tobytes()
            if int.from_bytes(packet[20:24], "big") != crc_of_packet(packet):
                self._tally.count(Reason.CORRUPT)
            else:
                self._hear_header(tois[index], packet[PLAIN_HEADER_BYTES:], now)

    def _hear_header(self, toi: int, raw: bytes, now: float) -> None:
        known = self._known.get(base_of_toi(toi))
        if known is not None and (known.levels or self._gate.knows(known.release)):
            known.last_s = now
            self._gate.hear_again(known.release)
            return
        release = ReleaseId.of(raw)
        if toi != header_toi(release) or base_of_toi(toi) == RESERVED_BASE:
            self._tally.count(Reason.HEADER_TOI)
        else:
            self._gate.hear(release, raw, toi_base(release))

    def _admit(self, now: float) -> list[Announcement]:
        """Announce the headers that prove authentic by now."""
        headers = self._gate.judge(now)
        for header in headers:
            base = toi_base(header.release_id)
            self._known[base] = _Known(header.release_id, now)
            self._announced.append(base)
        if len(self._known) > 2 * MAX_ADMITTED:
            self._forget_what_the_gate_forgot()
        return [Announcement(header) for header in headers]

    def _forget_what_the_gate_forgot(self) -> None:
        self._known = {
            base: known for base, known in self._known.items() if known.levels or self._gate.knows(known.release)
        }

    def _drop_unopened(self) -> None:
        """Forget the early symbols of releases that were announced, and that nobody wanted."""
        for base in self._announced:
            self._early.release(base)
        self._announced.clear()
