"""A storm on a server beside one followed box by box, event by event: written from what docs/fleet.md says of it."""

import heapq
from collections import deque

import numpy as np
import pytest

from bench.fleet.scenario.values import Retry, RetryKind, Server
from bench.fleet.storm.unicast import run_unicast
from tests.bench.fleet.fleets import scenario

BOXES, IMAGE_BYTES, LINE_BPS, SPREAD_S = 60_000, 1_000_000, 100e6, 100.0
RATE_BPS, CONNECTIONS, PATIENCE_S, WAIT_S = 2.4e9, 3000, 8.0, 20.0


def times_box_by_box(mean_wait_s, seed):
    """Return how long each box takes: connections share the rate fairly, and who finds none free comes again."""
    rng = np.random.default_rng(seed)
    came_s = np.sort(rng.random(BOXES) * SPREAD_S)
    to_ask = [(at_s, box) for box, at_s in enumerate(came_s.tolist())]
    served, done_s = deque(), np.zeros(BOXES)
    now_s = got_bits = share_bps = 0.0
    while to_ask or served:
        done_at_s = now_s + (served[0][0] - got_bits) / share_bps if served else np.inf
        at_s = min(done_at_s, to_ask[0][0] if to_ask else np.inf)
        got_bits += share_bps * (at_s - now_s)
        now_s = at_s
        if at_s == done_at_s:
            _, box = served.popleft()
            done_s[box] = now_s
        else:
            _, box = heapq.heappop(to_ask)
            if len(served) < CONNECTIONS:
                served.append((got_bits + 8 * IMAGE_BYTES, box))
            else:
                heapq.heappush(to_ask, (now_s + rng.exponential(mean_wait_s), box))
        share_bps = min(LINE_BPS, RATE_BPS / max(1, len(served)))
    return done_s - came_s


@pytest.mark.slow
@pytest.mark.parametrize(
    ("retry", "mean_wait_s"),
    [(Retry(RetryKind.IMMEDIATE), PATIENCE_S), (Retry(RetryKind.RANDOM, WAIT_S), PATIENCE_S + WAIT_S)],
    ids=["immediate", "random"],
)
def test_a_storm_is_what_single_boxes_are(retry, mean_wait_s):
    """Twice as many as the server can serve: first lines are what is short, then its rate, then its connections."""
    per_million = 1e6 / BOXES
    server = Server("http", rate_bps_per_million=RATE_BPS * per_million, request_timeout_s=PATIENCE_S,
                    connections_per_million=CONNECTIONS * per_million, requests_per_s_per_million=1e9)  # fmt: skip
    world = scenario(BOXES, IMAGE_BYTES, down="rate=100M", horizon_s=600.0, spread_s=SPREAD_S, server=server)
    times = run_unicast(world, 3, retry, server).tally.all_boot()
    single_s = times_box_by_box(mean_wait_s, 5)
    for share in (0.1, 0.25, 0.5, 0.75, 0.9, 0.99):
        assert times.quantile(share) == pytest.approx(np.quantile(single_s, share), rel=0.03), share
