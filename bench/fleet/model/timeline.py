"""The order on air, as the head-end's own broadcaster makes it, over some cycles that are taken to repeat.

What a box hears of an image hangs on where it tunes in. So the sampled fidelity asks the real order: of a release's
symbols, how many were on air once, twice, ... since a given moment?
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from bench.fleet.scenario.values import Carousel, ReleaseSpec
from carousel.console.quantities import format_duration_s, format_rate_bps
from carousel.errors import OperatorError
from carousel.flute.alc import PLAIN_HEADER_BYTES
from carousel.flute.interleave import transmit_places
from carousel.flute.releasefile import Release
from carousel.flute.toi import header_toi
from carousel.flute.tsi import DEFAULT_TSI
from carousel.release.blocks import IntArray
from carousel.release.header import HEADER_BYTES, SignedHeader
from carousel.release.identity import Hardware, Version
from carousel.release.layout import ReleaseLayout
from headend.cast.broadcaster import Broadcaster, BroadcastSettings
from headend.pack.packing import PackRequest, plan_image

__all__ = ["Timeline", "layout_of", "timeline_of"]

LEAST_CYCLES, MANY_CYCLES, MANY_PACKETS = 2, 32, 200_000
MOST_CYCLES, FEW_PACKETS = 256, 50_000
"""Small images need more cycles, since each is shuffled anew, and few chunks make up one: over 32 of them, chance moved
a median by 5 %."""
LOOKED_AT, TOLD_APART = 4, 6
"""How many times a symbol was on air is told apart within the four cycles that are looked at packet by packet."""
FloatArray = NDArray[np.float64]


def request_of(spec: ReleaseSpec) -> PackRequest:
    """Return what `headend pack` would be asked for."""
    return PackRequest(
        Hardware(0x00A1B2, 7),
        Version.parse("2.0.0"),
        created_unix_s=0,
        name=spec.name[:32],
        symbol_size=spec.symbol_bytes,
        repair_ratio=spec.repair_ratio,
    )


def layout_of(spec: ReleaseSpec) -> ReleaseLayout:
    """Lay a release out as `headend pack` would; `OperatorError` where it could not."""
    return ReleaseLayout.of_image(plan_image(spec.image_bytes, request_of(spec)))


class _Order(Release):
    """A release without bytes: it notes which packets the carousel asks for."""

    @classmethod
    def of(cls, spec: ReleaseSpec, number: int) -> "_Order":
        layout = layout_of(spec)
        request, image = request_of(spec), layout.objects[0]
        header = SignedHeader(
            request.hardware, 0, request.version, 0, image.transfer_length, image.symbol_size, image.blocks,
            image.repair_per_block, bytes(32), bytes(32), request.name, bytes(8), bytes([number]) * HEADER_BYTES,
        )  # fmt: skip
        blank = memoryview(bytes(64 * (PLAIN_HEADER_BYTES + layout.symbol_size)))
        return cls(header, layout, DEFAULT_TSI, (bytes(16),) * len(layout.objects), blank)

    def packet_bytes(self, first: int, count: int) -> memoryview:
        """Note the packets, and return as many blank bytes."""
        self.__dict__["asked"] = (first, count)
        return self.buffer[: count * self.packet_size]


@dataclass(frozen=True, eq=False)
class Timeline:
    """`cycles` of one release among others. Times count from their begin; index i is an image packet's slot.

    `slot_s` when its last bit leaves the head-end, `place` its number in transmit order, `wire` how many packets of
    any kind went before it; `urgent_s`, for each packet that proves the block digests, when it goes. Announcements
    go by time, not by position: every `announce_interval_s`, and `announce_lag_s` later on average.
    """

    layout: ReleaseLayout
    cycles: int
    period_s: float
    slot_s: FloatArray
    place: IntArray
    wire: IntArray
    announce_interval_s: float
    announce_lag_s: float
    urgent_s: tuple[FloatArray, ...]

    @cached_property
    def block_of_place(self) -> IntArray:
        """The source block of each place in transmit order."""
        image = self.layout.objects[0]
        sbn, esi = image.symbols_of(np.arange(image.rows))
        blocks = np.empty(image.rows, dtype=np.int64)
        blocks[transmit_places(image, sbn, esi)] = sbn
        return blocks

    @cached_property
    def _turns(self) -> int:
        """How many periods are laid end to end, so that four cycles can be looked at from anywhere in the first."""
        return 1 + -(-(LOOKED_AT + 1) // self.cycles)

    @cached_property
    def _long_slot_s(self) -> FloatArray:
        return np.concatenate([self.slot_s + turn * self.period_s for turn in range(self._turns)])

    @cached_property
    def _long_block(self) -> IntArray:
        return np.tile(self.block_of_place[self.place], self._turns)

    @cached_property
    def _earlier(self) -> list[IntArray]:
        """For each slot, where its symbol was on air the last time, and the time before that, ..."""
        place = np.tile(self.place, self._turns)
        order = np.argsort(place, kind="stable")
        last = np.full(len(place) + 1, -1, dtype=np.int64)
        same = place[order[1:]] == place[order[:-1]]
        last[order[1:][same]] = order[:-1][same]
        found = [last]
        while len(found) < TOLD_APART - 1:
            found.append(last[found[-1]])
        return [each[:-1] for each in found]

    def heard(self, start_s: float, durations_s: FloatArray) -> IntArray:
        """Return how many of each block's symbols were on air at least once, twice, ... within these times.

        Shape (passes, times, blocks). Beyond four cycles, a pass is added for each cycle that goes by.
        """
        cycle_s = self.period_s / self.cycles
        over = np.maximum(0, np.ceil(durations_s / cycle_s).astype(np.int64) - LOOKED_AT)
        counts = self._heard_soon(start_s % self.period_s, durations_s - over * cycle_s)
        blocks = np.bincount(self.block_of_place, minlength=counts.shape[2])
        passes = TOLD_APART + int(over.max(initial=0))
        found = np.zeros((passes, *counts.shape[1:]), dtype=np.int64)
        for cycles in np.unique(over).tolist():
            mine = over == cycles
            found[:cycles, mine] = blocks
            found[cycles : cycles + TOLD_APART, mine] = counts[:, mine]
        return found

    def _heard_soon(self, begin_s: float, durations_s: FloatArray) -> IntArray:
        order = np.argsort(durations_s, kind="stable")  # what is beyond four cycles came back by whole cycles
        first = int(np.searchsorted(self._long_slot_s, begin_s, side="right"))
        ends = np.searchsorted(self._long_slot_s, begin_s + durations_s[order], side="right")
        interval = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=first))
        window = slice(first, int(ends[-1]))
        times_before = np.zeros(len(interval), dtype=np.int64)
        for earlier in self._earlier:
            again = earlier[window] >= first
            if not again.any():
                break
            times_before += again
        blocks = self.layout.objects[0].blocks
        cells = (times_before * len(ends) + interval) * blocks + self._long_block[window]
        shape = (TOLD_APART, len(ends), blocks)
        counts = np.bincount(cells, minlength=int(np.prod(shape))).reshape(shape).cumsum(axis=1)
        found = np.empty_like(counts)
        found[:, order] = counts
        return found

    def times_on_air(self, times_s: FloatArray, start_s: float, durations_s: FloatArray) -> IntArray:
        """Return how often something that goes at `times_s` in each period went within these times."""
        begin_s = start_s % self.period_s

        def until(moment_s: FloatArray) -> IntArray:
            turns = np.floor(moment_s / self.period_s)
            within = np.searchsorted(times_s, moment_s - turns * self.period_s, side="right")
            return (turns * len(times_s) + within).astype(np.int64)

        return until(begin_s + durations_s) - until(np.array([begin_s]))

    def announced(self, start_s: float, durations_s: FloatArray) -> IntArray:
        """Return how many announcements end within these times."""
        begin_s = start_s - self.announce_lag_s
        turns = np.floor((begin_s + durations_s) / self.announce_interval_s) - np.floor(
            begin_s / self.announce_interval_s
        )
        counted: IntArray = turns.astype(np.int64)
        return counted

    def next_announcement_s(self, start_s: float) -> float:
        """Return how long the end of the next announcement is away."""
        begin_s = start_s - self.announce_lag_s
        return float((np.floor(begin_s / self.announce_interval_s) + 1) * self.announce_interval_s - begin_s)


@lru_cache(maxsize=8)
def timeline_of(carousel: Carousel, releases: tuple[ReleaseSpec, ...], name: str) -> Timeline:
    """Let the broadcaster run for some cycles of one release, and note what it sends."""
    orders = [_Order.of(spec, number) for number, spec in enumerate(releases)]
    mine = orders[next(number for number, spec in enumerate(releases) if spec.name == name)]
    settings = BroadcastSettings(carousel.rate_bps, carousel.announce_interval_s)
    broadcaster = Broadcaster(list(orders), settings, now=0.0)
    if broadcaster.announce_interval_s > carousel.announce_interval_s:
        raise OperatorError(
            f"at {format_rate_bps(carousel.rate_bps)} announcements every "
            f"{format_duration_s(carousel.announce_interval_s)} would take more than half the rate"
        )
    urgent = {int(number): index for index, number in enumerate(mine.urgent_packets().tolist())}
    announced = header_toi(mine.header.release_id).to_bytes(4, "big")
    now, wire, sent, headers = 0.0, 0, [], []
    urgent_s: list[list[float]] = [[] for _ in urgent]
    cycles = _cycles_of(mine.image_packets)
    left = cycles * mine.image_packets
    while left > 0:
        now = max(now, broadcaster.due(now))
        batch = broadcaster.next_batch(now)
        packet_s = batch.stride * 8 / carousel.rate_bps
        if batch.buffer.obj is mine.buffer.obj:
            first, count = mine.__dict__["asked"]
            if first < mine.image_packets:
                sent.append((first, count, wire, now))
                left -= count
            for number in range(first, first + count):
                if number in urgent:
                    urgent_s[urgent[number]].append(now + (number - first + 1) * packet_s)
        elif bytes(batch.buffer[12:16]) == announced:
            headers.append(now + packet_s)
        wire += batch.count
    return _timeline(mine, cycles, np.array(sent), carousel, headers, urgent_s)


def _cycles_of(image_packets: int) -> int:
    """Return over how many cycles an image of so many packets is looked at."""
    many = min(MANY_CYCLES, MANY_PACKETS // image_packets)
    return max(LEAST_CYCLES, many, min(MOST_CYCLES, FEW_PACKETS // image_packets))


def _timeline(
    release: Release,
    cycles: int,
    sent: FloatArray,
    carousel: Carousel,
    headers: list[float],
    urgent_s: list[list[float]],
) -> Timeline:
    """Spell bursts (first packet, count, packets before, time) out as packets."""
    first, count, wire = (sent[:, column].astype(np.int64) for column in range(3))
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    slot_s = np.repeat(sent[:, 3], count) + (within + 1) * (release.packet_size * 8 / carousel.rate_bps)
    lags_s = np.array(headers) % carousel.announce_interval_s
    return Timeline(
        release.layout,
        cycles,
        float(slot_s[-1]),
        slot_s,
        np.repeat(first, count) + within,
        np.repeat(wire, count) + within,
        carousel.announce_interval_s,
        float(lags_s.mean()),
        tuple(np.array(times) for times in urgent_s),
    )
