"""A unicast boot server, and everybody asking it at once.

    off -> asking -> transferring -> has the image
             ^  |         | timed out: all it got is lost
             |  v         v
            waiting <-----+      (turned away: too many requests, or no connection free)

Transfers share the server's rate fairly, none faster than its own line. A cohort that was let in together is done
together: when the share of one connection, summed up since, is one image.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.fleet.model.starts import cohorts_of
from bench.fleet.model.tally import STEPS, Tally, phases_of_events
from bench.fleet.scenario.values import BoxClass, Group, Retry, RetryKind, Scenario, Server, SpreadKind
from bench.fleet.storm.crowd import Arrivals, Clock, Fates, Load, Story, WaitingRoom, draw_some
from carousel.release.blocks import IntArray

__all__ = ["Fleet", "fleet_of", "line_rate_bps", "run_unicast"]

FloatArray = NDArray[np.float64]
MOST_COHORTS = 48
TFTP_BLOCK_BYTES = 1428
TFTP_RESEND_S = 1.0
"""A TFTP client asks again after this long (RFC 1350 leaves it open; common clients take a second)."""
NO_LINE_BPS = 1e9
COHORT_STREAM, STORM_STREAM = 20, 21


@dataclass(frozen=True)
class Fleet:
    """All cohorts of a fleet: arrays (cohorts,)."""

    groups: tuple[Group, ...]
    group: IntArray
    starts_s: FloatArray
    widths_s: FloatArray
    counts: IntArray

    @property
    def regions(self) -> list[str]:
        """Each cohort's region."""
        return [self.groups[index].region.name for index in self.group.tolist()]

    def of_class(self, value: str) -> FloatArray:
        """Return a time of each cohort's class."""
        return np.array([getattr(self.groups[index].box_class, value) for index in self.group.tolist()])

    @property
    def start_up_s(self) -> FloatArray:
        """From the image to the started system."""
        return self.of_class("install_s") + self.of_class("boot_s")


def fleet_of(scenario: Scenario, seed: int) -> Fleet:
    """Draw the cohorts of a fleet."""
    groups = scenario.groups()
    most = max(1, MOST_COHORTS // len(groups))
    index, starts, widths, counts = [], [], [], []
    for number, group in enumerate(groups):
        cohorts = cohorts_of(group, most, np.random.default_rng([seed, COHORT_STREAM, group.index]))
        at_once = group.region.spread.kind is SpreadKind.AT_ONCE or len(cohorts.starts_s) < 2
        width = 0.0 if at_once else float(np.min(np.diff(cohorts.starts_s)))
        index += [number] * len(cohorts.counts)
        starts += cohorts.starts_s.tolist()
        widths += [width] * len(cohorts.counts)
        counts += cohorts.counts.tolist()
    return Fleet(groups, np.array(index), np.array(starts), np.array(widths), np.array(counts, dtype=np.int64))


def line_rate_bps(box_class: BoxClass, protocol: str) -> float:
    """Return what one transfer can take of a class's line; 0 where nothing comes back to the server.

    TFTP waits for each block's acknowledgement; HTTP fills the line, but for what is lost.
    """
    if box_class.up.is_dead or box_class.down.is_dead:
        return 0.0
    down, up = box_class.down, box_class.up
    line_bps = down.rate_bps or NO_LINE_BPS
    if protocol == "tftp":
        round_trip_s = max(1e-3, down.delay_s + up.delay_s) + (down.loss + up.loss) * TFTP_RESEND_S
        line_bps = min(line_bps, TFTP_BLOCK_BYTES * 8 / round_trip_s)
    return line_bps * (1 - down.loss)


class _Transfers:
    """Connections of one group, first in first out: all get the same share, so the oldest is done first."""

    def __init__(self, line_bps: float, image_bits: float) -> None:
        self.line_bps, self._image_bits = line_bps, image_bits
        self.active = 0
        self._got_bits = 0.0
        self._queue: deque[tuple[float, float, IntArray]] = deque()

    def admit(self, crowd: IntArray, now_s: float) -> None:
        if crowd.any():
            self._queue.append((self._got_bits + self._image_bits, now_s, crowd))
            self.active += int(crowd.sum())

    def advance(self, bits_each: float) -> list[IntArray]:
        """Give each connection so many bits; return who is done."""
        self._got_bits += bits_each
        return self._pop(lambda entry: entry[0] <= self._got_bits)

    def time_out(self, since_s: float) -> list[IntArray]:
        """Return who was let in before `since_s` and is not done."""
        return self._pop(lambda entry: entry[1] < since_s)

    def _pop(self, is_over) -> list[IntArray]:  # type: ignore[no-untyped-def]  # noqa: ANN001
        out = []
        while self._queue and is_over(self._queue[0]):
            out.append(self._queue.popleft()[2])
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


def run_unicast(scenario: Scenario, seed: int, retry: Retry) -> Story:
    """Let all boxes ask the server, and see who gets an image when."""
    assert scenario.server is not None
    storm = _Storm(scenario, scenario.server, retry, seed)
    for index in range(storm.clock.count):
        storm.step(index)
    return storm.story()


class _Storm:
    def __init__(self, scenario: Scenario, server: Server, retry: Retry, seed: int) -> None:
        self.clock = Clock.of(scenario.horizon_s, server.request_timeout_s)
        self._scenario, self._server, self._retry, self._seed = scenario, server, retry, seed
        self._rng = np.random.default_rng([seed, STORM_STREAM, list(RetryKind).index(retry.kind)])
        self._fleet = fleet = fleet_of(scenario, seed)
        self._scale = scenario.boxes / 1e6
        self._arrivals = Arrivals(fleet.starts_s, fleet.widths_s, fleet.counts)
        self._room = WaitingRoom(retry, server.request_timeout_s, len(fleet.counts), self.clock.step_s)
        self._transfers = [
            _Transfers(
                line_rate_bps(group.box_class, server.protocol),
                scenario.release(group.box_class.release).image_bytes * 8.0,
            )
            for group in fleet.groups
        ]
        self._reachable = np.array([self._transfers[index].line_bps > 0 for index in fleet.group.tolist()])
        self._fates = Fates(Tally(scenario.horizon_s), fleet.regions, scenario.deadline_s)
        self._served_bits, self._requests, self._connections = (np.zeros(STEPS) for _ in range(3))

    def step(self, index: int) -> None:
        """Go one substep on."""
        now_s, step_s = (index + 1) * self.clock.step_s, self.clock.step_s
        step = index // self.clock.substeps
        come = self._arrivals.until(now_s, step_s, self._rng)
        self._fates.power_up(now_s - step_s / 2, come)
        asking = self._room.leave(self._rng) + self._room.newcomers(np.where(self._reachable, come, 0))
        self._requests[step] += asking.sum()
        self._let_in(asking, now_s)
        self._transfer(now_s, step)
        for transfers in self._transfers:
            for crowd in transfers.time_out(now_s - self._server.transfer_timeout_s):
                self._room.turn_away(crowd)
        self._connections[step] = sum(each.active for each in self._transfers)
        self._fates.fall_back(now_s)

    def _let_in(self, asking: IntArray, now_s: float) -> None:
        """Answer as many as the server can, and open connections to as many of these as it may."""
        answered = draw_some(
            asking, int(self._server.requests_per_s_per_million * self._scale * self.clock.step_s), self._rng
        )
        active = sum(each.active for each in self._transfers)
        free = int(self._server.connections_per_million * self._scale) - active
        let_in = draw_some(answered, max(0, free), self._rng)
        self._room.turn_away(asking - let_in)
        for number, transfers in enumerate(self._transfers):
            transfers.admit(np.where(self._fleet.group == number, let_in, 0), now_s)

    def _transfer(self, now_s: float, step: int) -> None:
        active = np.array([float(each.active) for each in self._transfers])
        lines = np.array([each.line_bps for each in self._transfers])
        shares = fair_shares(active, lines, self._server.rate_bps_per_million * self._scale)
        self._served_bits[step] += float(active @ shares) * self.clock.step_s
        for share, transfers in zip(shares.tolist(), self._transfers, strict=True):
            for crowd in transfers.advance(share * self.clock.step_s):
                self._fates.verify(now_s, crowd.sum(axis=0), self._fleet.start_up_s)

    def story(self) -> Story:
        """Return what happened."""
        self._fates.close(self._arrivals.left)
        step_s = self.clock.step_s * self.clock.substeps
        server, scale = self._server, self._scale
        phases = phases_of_events(self._fates.tally.events)
        loads = [
            Load("server throughput", "b/s", self._served_bits / step_s, server.rate_bps_per_million * scale),
            Load("requests", "1/s", self._requests / step_s, server.requests_per_s_per_million * scale),
            Load("connections", "", self._connections, server.connections_per_million * scale),
        ]
        label = f"unicast, {self._retry.kind.value} retry"
        sent = float(self._served_bits.sum()) / 8 / self._scenario.boxes
        return Story(label, self._seed, self._fates.tally, phases, loads, sent)
