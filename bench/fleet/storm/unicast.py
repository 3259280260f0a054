"""Unicast boot servers, and everybody asking them at once.

    off -> asking -> transferring -> has the image
             ^  |         | timed out, where a transfer can't be resumed: all it got is lost
             |  v         v
            waiting <-----+      (turned away: too many requests, or no connection free)

The server stands for as many as one likes, perfectly balanced: a rival as strong as in life. Transfers share its rate
fairly, none faster than its own line, nor than TCP gets over that line's loss and round trip. A client that resumes
(HTTP Range) keeps what it has and its place. Capacity may be added (elastic): it is ordered
when the server is first full, is there a lead time later, and has a price. Or it may fail for a while.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.fleet.model.tally import STEPS, phases_of_events
from bench.fleet.scenario.values import BoxClass, Group, Retry, RetryKind, Scenario, Server
from bench.fleet.storm.crowd import Clock, Load, Story, WaitingRoom, arrivals_of, draw_some, format_price
from bench.fleet.storm.engine import run_converged
from bench.fleet.storm.fates import Fates
from carousel.console.quantities import format_duration_s
from carousel.release.blocks import IntArray

__all__ = [
    "Late",
    "UnicastStorm",
    "capacity_share",
    "fair_shares",
    "line_rate_bps",
    "run_unicast",
    "start_up_s",
    "tcp_rate_bps",
]

FloatArray = NDArray[np.float64]
TFTP_BLOCK_BYTES = 1428
TFTP_RESEND_S = 1.0
"""A TFTP client asks again after this long (RFC 1350 leaves it open; common clients take a second)."""
TCP_SEGMENT_BYTES = 1448
NO_LINE_BPS = 1e9
LEAST_ROUND_TRIP_S = 2e-3
STORM_STREAM = 21


def tcp_rate_bps(loss: float, burst: float, round_trip_s: float) -> float:
    """Return what one TCP connection gets (RFC 5348, 3.1: Padhye and others 1998), where losses come `burst` at once.

    What counts is loss events: the losses of one round trip are one.
    """
    if loss <= 0:
        return np.inf
    events, rtt_s = loss / max(1.0, burst), max(LEAST_ROUND_TRIP_S, round_trip_s)
    resend_s = max(1.0, 4 * rtt_s)  # RFC 6298: a second at the least
    per_segment_s = rtt_s * (2 * events / 3) ** 0.5
    per_segment_s += resend_s * min(1.0, 3 * (3 * events / 8) ** 0.5) * events * (1 + 32 * events**2)
    return float(TCP_SEGMENT_BYTES * 8 / per_segment_s)


def line_rate_bps(box_class: BoxClass, server: Server) -> float:
    """Return what one client gets over its class's line; 0 where nothing comes back to the server.

    TFTP waits for each block's acknowledgement. HTTP fills the line with `streams` connections, each as fast as TCP is
    at the line's loss and round trip.
    """
    down, up = box_class.down, box_class.up
    if up.is_dead or down.is_dead:
        return 0.0
    line_bps = down.rate_bps or NO_LINE_BPS
    round_trip_s = down.delay_s + up.delay_s
    if server.protocol == "tftp":
        each_s = max(1e-3, round_trip_s) + (down.mean_loss + up.mean_loss) * TFTP_RESEND_S
        return min(line_bps, TFTP_BLOCK_BYTES * 8 / each_s) * (1 - down.mean_loss)
    one_bps = tcp_rate_bps(down.mean_loss, down.burst or 1.0, round_trip_s)
    return min(line_bps * (1 - down.mean_loss), server.streams * one_bps)


def start_up_s(scenario: Scenario, groups: tuple[Group, ...]) -> FloatArray:
    """Return how long each group takes from the image to the started system."""
    return np.array([scenario.start_up_s(each.box_class) for each in groups])


def capacity_share(server: Server, now_s: float, full_at_s: float | None) -> float:
    """Return how much of the server's capacity is there: what failed is missing, what was added is more than 1.

    `full_at_s` is when the server was first full, None for not yet.
    """
    share = 1.0
    if server.fails_for_s and server.fails_at_s <= now_s < server.fails_at_s + server.fails_for_s:
        share -= server.fails_share
    if has_added(server, now_s, full_at_s):
        share += server.elastic_share
    return share


def has_added(server: Server, now_s: float, full_at_s: float | None) -> bool:
    """Say whether capacity that was ordered when the server was first full is there."""
    return bool(server.elastic_share) and full_at_s is not None and now_s >= full_at_s + server.elastic_after_s


class _Transfers:
    """Connections of one group, first in first out: all get the same share, so the oldest is done first."""

    def __init__(self, line_bps: float, image_bits: float) -> None:
        self.line_bps, self._image_bits = line_bps, image_bits
        self.active = 0
        self._got_bits = 0.0
        self._queue: deque[tuple[float, float, int, IntArray]] = deque()
        self.served_bits = 0.0

    def admit(self, crowd: IntArray, now_s: float, index: int) -> None:
        count = int(crowd.sum())
        if count:
            self._queue.append((self._got_bits + self._image_bits, now_s, index, crowd))
            self.active += count

    def advance(self, share_bps: float, now_s: float, step_s: float) -> list[tuple[float, float, int, int]]:
        """Give each connection its share for a step; return (finished at, admitted at, step, boxes) of who is done."""
        before = self._got_bits
        self._got_bits += share_bps * step_s
        self.served_bits += self.active * share_bps * step_s
        done = []
        while self._queue and self._queue[0][0] <= self._got_bits:
            target, since_s, index, crowd = self._queue.popleft()
            count = int(crowd.sum())
            self.active -= count
            self.served_bits -= count * (self._got_bits - target)
            done.append((now_s - step_s + max(0.0, target - before) / share_bps, since_s, index, count))
        return done

    def drop_some(self, share: float, rng: np.random.Generator) -> list[tuple[float, int, int]]:
        """Let a share of all go without the rest of the image; return (admitted at, step, boxes) of who went."""
        gone, kept = [], deque[tuple[float, float, int, IntArray]]()
        for target, since_s, index, crowd in self._queue:
            some = rng.binomial(crowd, share)
            count = int(some.sum())
            self.active -= count
            gone.append((since_s, index, count))
            if (crowd > some).any():
                kept.append((target, since_s, index, crowd - some))
        self._queue = kept
        return [each for each in gone if each[2]]

    def time_out(self, since_s: float) -> list[IntArray]:
        """Return who was let in before `since_s` and is not done."""
        out = []
        while self._queue and self._queue[0][1] < since_s:
            out.append(self._queue.popleft()[3])
            self.active -= int(out[-1].sum())
        return out


def fair_shares(active: FloatArray, lines_bps: FloatArray, rate_bps: float) -> FloatArray:
    """Share a rate among connections: equally, but nobody gets more than its line takes; result for one connection."""
    shares, left, rest = np.zeros(len(active)), rate_bps, active.sum()
    for index in np.argsort(lines_bps).tolist():
        if rest <= 0:
            break
        shares[index] = min(lines_bps[index], left / rest)
        left -= shares[index] * active[index]
        rest -= active[index]
    return shares


def run_unicast(scenario: Scenario, seed: int, retry: Retry, server: Server, name: str = "unicast") -> Story:
    """Let all boxes ask the server, and see who gets an image when."""
    groups = scenario.groups()
    return run_converged(
        lambda clock: UnicastStorm(scenario, server, retry, seed, clock, name, groups),
        scenario.horizon_s,
        server.request_timeout_s,
    )


@dataclass(frozen=True)
class Late:
    """Boxes that come late, and may get the image from elsewhere. By bin: `counts` of who comes, and `shares` of those
    who lack the image that have it from elsewhere then; shapes (STEPS, groups).
    """

    counts: IntArray
    shares: FloatArray

    def came(self, clock: Clock) -> IntArray:
        """Return who comes in each step, evenly within its bin."""
        each = clock.count // STEPS
        reached = self.counts[:, None, :] * np.arange(1, each + 1)[None, :, None] // each
        return np.diff(reached, prepend=0, axis=1).reshape(clock.count, -1)

    def shares_a_step(self, clock: Clock) -> FloatArray:
        """Return the shares for each step of a bin."""
        found: FloatArray = 1 - (1 - self.shares) ** (STEPS / clock.count)
        return found


@dataclass
class _Seen:
    """What is shown: by bin."""

    served_bits: FloatArray
    requests: FloatArray
    connections: FloatArray
    share: FloatArray


class UnicastStorm:
    """One storm on a server: of `groups` when they power up, or of those of them that come late."""

    def __init__(
        self, scenario: Scenario, server: Server, retry: Retry, seed: int, clock: Clock, name: str,
        groups: tuple[Group, ...], late: Late | None = None,
    ) -> None:  # fmt: skip
        self._clock, self._scenario, self._server, self._retry, self._seed = clock, scenario, server, retry, seed
        self._name, self._deadline_s = name, np.inf if late else scenario.deadline_s
        self._rng = np.random.default_rng([seed, STORM_STREAM, list(RetryKind).index(retry.kind)])
        self._groups = groups
        self._elsewhere = late.shares_a_step(clock) if late else None
        self._scale = scenario.boxes / 1e6
        came = late.came(clock) if late else arrivals_of(groups, clock, self._rng)
        rates = [line_rate_bps(each.box_class, server) for each in groups]
        bits = [scenario.release(each.box_class.release).image_bytes * 8.0 for each in groups]
        self._fates = Fates(clock, groups, came, [each.region.name for each in groups])
        self._room = WaitingRoom(retry, server.request_timeout_s, len(groups), clock.step_s)
        self._lines, self._bits = np.array(rates), np.array(bits)
        self._freed_in_a_step = 0.0
        self._transfers = [_Transfers(*pair) for pair in zip(rates, bits, strict=True)]
        self._reachable = self._lines > 0
        self._to_come = int(came[:, self._reachable].sum())
        self._active = 0
        self._full_at_s: float | None = None
        self._added_s = 0.0
        self._seen = _Seen(*(np.zeros(STEPS) for _ in range(4)))

    @property
    def is_over(self) -> bool:
        """Whether everybody who can have it has it."""
        return not (self._to_come or self._room.total or self._active)

    def step(self, index: int) -> None:
        """Go one step on."""
        clock, at = self._clock, self._clock.bin_of(index)
        now_s = (index + 1) * clock.step_s
        come = np.where(self._reachable, self._fates.came[index], 0)
        self._to_come -= int(come.sum())
        if self._elsewhere is not None:
            self._leave_for_elsewhere(self._elsewhere[at], now_s, index)
        asking = self._room.leave(self._rng) + self._room.newcomers(come)
        share = capacity_share(self._server, now_s, self._full_at_s)
        self._added_s += clock.step_s if has_added(self._server, now_s, self._full_at_s) else 0.0
        if not (self._active or asking.any()):
            self._seen.share[at] = share
            return
        self._seen.requests[at] += asking.sum()
        self._fates.ask(asking.sum(axis=0), index)
        self._let_in(asking, now_s - clock.step_s, index, share)
        self._transfer(now_s, at, share)
        if not (self._server.resume and self._server.protocol == "http"):
            for transfers in self._transfers:
                for crowd in transfers.time_out(now_s - self._server.transfer_timeout_s):
                    self._room.turn_away(crowd)
        self._active = sum(each.active for each in self._transfers)
        most = self._server.connections_per_million * self._scale * share
        self._seen.connections[at], self._seen.share[at] = min(self._active, most), share

    def _leave_for_elsewhere(self, shares: FloatArray, now_s: float, index: int) -> None:
        """Let some of those who wait or are being served have the image from elsewhere."""
        for number in np.flatnonzero(shares).tolist():
            counts = np.zeros(len(self._transfers), dtype=np.int64)
            counts[number] = self._room.drop_some(number, float(shares[number]), self._rng)
            self._fates.leave(counts, index, now_s)
            for since_s, asked_at, count in self._transfers[number].drop_some(float(shares[number]), self._rng):
                self._fates.finish_some(number, count, asked_at, now_s - since_s, now_s)

    def _let_in(self, asking: IntArray, now_s: float, index: int, share: float) -> None:
        """Answer as many as the server can, and open connections to as many of these as it may."""
        if not asking.any():
            return
        server, scale = self._server, self._scale * share
        answered = draw_some(asking, int(server.requests_per_s_per_million * scale * self._clock.step_s), self._rng)
        free = int(server.connections_per_million * scale) - self._active
        free += int(self._freed_in_a_step)
        let_in = draw_some(answered, max(0, free), self._rng)
        turned_away = asking - let_in
        if self._full_at_s is None and turned_away.any():
            self._full_at_s = now_s
        self._room.turn_away(turned_away)
        for number in np.flatnonzero(let_in.sum(axis=0)).tolist():
            crowd = np.zeros(let_in.shape, dtype=np.int64)
            crowd[:, number] = let_in[:, number]
            self._transfers[number].admit(crowd, now_s, index)

    def _transfer(self, now_s: float, at: int, share: float) -> None:
        active = np.array([float(each.active) for each in self._transfers])
        if not active.any():
            self._freed_in_a_step = 0.0
            return
        rate_bps = self._server.rate_bps_per_million * self._scale * share
        shares = fair_shares(active, self._lines, rate_bps)
        # A connection that is had more than once in a step counts as several: so long steps do not hold anybody up.
        turns = float((active * shares / self._bits).sum()) * self._clock.step_s
        self._freed_in_a_step = max(0.0, turns - active.sum())
        before_bits = sum(each.served_bits for each in self._transfers)
        for number, transfers in enumerate(self._transfers):
            if not transfers.active:
                continue
            for done_s, since_s, index, count in transfers.advance(shares[number], now_s, self._clock.step_s):
                # Of those let in in a step, all count from its begin: the middle one is done half a step later.
                at_s = done_s + self._clock.step_s / 2
                self._fates.finish_some(number, count, index, done_s - since_s, at_s)
        self._seen.served_bits[at] += sum(each.served_bits for each in self._transfers) - before_bits

    def story(self) -> Story:
        """Return what happened."""
        tally = self._fates.tally(self._deadline_s, start_up_s(self._scenario, self._groups))
        seen, server, bin_s = self._seen, self._server, self._clock.bin_s
        there = np.where(seen.share > 0, seen.share, 1.0) * self._scale
        loads = [
            Load("server throughput", "b/s", seen.served_bits / bin_s, server.rate_bps_per_million * there),
            Load("requests", "1/s", seen.requests / bin_s, server.requests_per_s_per_million * there),
            Load("connections", "", seen.connections, server.connections_per_million * there),
        ]
        sent = float(seen.served_bits.sum()) / 8 / self._scenario.boxes
        price, notes = self._price(sent * self._scenario.boxes)
        label = f"{self._name}, {self._retry.kind.value} retry"
        phases = phases_of_events(tally.events)
        return Story(label, self._seed, tally, phases, loads, sent, notes=notes, price=price)

    def _price(self, sent_bytes: float) -> tuple[float | None, tuple[str, ...]]:
        """Return what it costs, and a sentence on it."""
        server = self._server
        if not (server.price_per_tb or server.price_per_gbps_hour):
            return None, ()
        added_gbps = server.elastic_share * server.rate_bps_per_million * self._scale / 1e9
        sending = sent_bytes / 1e12 * server.price_per_tb
        adding = added_gbps * self._added_s / 3600 * server.price_per_gbps_hour
        words = f"{self._name}: {format_price(sending)} for {sent_bytes / 1e12:,.4g} TB sent"
        if server.elastic_share and self._full_at_s is not None:
            words += (
                f", {format_price(adding)} for {added_gbps:,.4g} Gb/s more, ordered after "
                f"{format_duration_s(self._full_at_s)}, there {format_duration_s(server.elastic_after_s)} later, and "
                f"kept for {format_duration_s(self._added_s)}"
            )
        return sending + adding, (words,)
