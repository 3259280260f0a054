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

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.fleet.model.tally import STEPS, phases_of_events
from bench.fleet.scenario.values import BoxClass, Group, Retry, RetryKind, Scenario, Server
from bench.fleet.storm.crowd import Clock, Load, Story, WaitingRoom, arrivals_of, by_group, draw_some, format_price
from bench.fleet.storm.engine import run_converged
from bench.fleet.storm.fates import Fates
from bench.fleet.storm.transfers import Transfers
from carousel.console.quantities import format_duration_s
from carousel.release.blocks import IntArray

__all__ = [
    "Late",
    "UnicastStorm",
    "capacity_share",
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
        self._transfers = Transfers(rates, bits)
        self._come = came * (np.array(rates) > 0)
        self._comes: list[int] = self._come.sum(axis=1).tolist()
        self._to_come = sum(self._comes)
        self._full_at_s: float | None = None
        self._added_s = 0.0
        self._seen = _Seen(*(np.zeros(STEPS) for _ in range(4)))

    @property
    def is_over(self) -> bool:
        """Whether everybody who can have it has it."""
        return not (self._to_come or self._room.total or self._transfers.active)

    def step(self, index: int) -> None:
        """Go one step on."""
        clock, at, server = self._clock, self._clock.bin_of(index), self._server
        step_s = clock.step_s
        begin_s, now_s = index * step_s, (index + 1) * step_s
        if self._elsewhere is not None:
            self._leave_for_elsewhere(self._elsewhere[at], now_s, index)
        self._to_come -= self._comes[index]
        asking, asked = self._room.callers(self._come[index], self._comes[index], self._rng)
        share = capacity_share(server, now_s, self._full_at_s)
        self._added_s += step_s if has_added(server, now_s, self._full_at_s) else 0.0
        self._seen.share[at] = share
        if not (self._transfers.active or asked):
            return
        self._seen.requests[at] += asked
        self._fates.ask(by_group(asking), index)
        let_in = self._let_in(asking, asked, begin_s, share)
        rate_bps = server.rate_bps_per_million * self._scale * share
        is_cut_off = not (server.resume and server.protocol == "http")
        who = let_in if is_cut_off else by_group(let_in)[None]  # who is not asks no more: how often it did is no matter
        bits, done = self._transfers.go_on(who, rate_bps, begin_s, step_s, index)
        self._seen.served_bits[at] += bits
        for each in done:
            self._fates.finish(each.counts, each.asked_at, each.took_s, each.at_s)
        if is_cut_off:
            for crowd in self._transfers.time_out(now_s - server.transfer_timeout_s):
                self._room.turn_away(crowd)
        self._seen.connections[at] = min(self._transfers.active, server.connections_per_million * self._scale * share)

    def _leave_for_elsewhere(self, shares: FloatArray, now_s: float, index: int) -> None:
        """Let some of those who wait or are being served have the image from elsewhere."""
        if not shares.any():
            return
        self._fates.leave(self._room.drop_some(shares, self._rng), index, now_s)
        for each in self._transfers.drop_some(shares, now_s, self._rng):
            self._fates.finish(each.counts, each.asked_at, each.took_s, now_s)

    def _let_in(self, asking: IntArray, asked: int, now_s: float, share: float) -> IntArray:
        """Answer as many as the server can, and open connections to as many of these as it may; return to whom."""
        server, scale, step_s = self._server, self._scale * share, self._clock.step_s
        can = int(server.requests_per_s_per_million * scale * step_s)
        answered = asking if asked <= can else draw_some(asking, can, self._rng)
        most = int(server.connections_per_million * scale)
        room = self._transfers.room_for(answered, min(asked, can), most, step_s)
        if room >= asked:
            return asking
        let_in = draw_some(answered, room, self._rng)
        if self._full_at_s is None:
            self._full_at_s = now_s
        self._room.turn_away(asking - let_in)
        return let_in

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
