"""A box under siege: the real broadcaster, the real wire and receiver, and an attacker, in virtual time.

The box works at once, so a figure is what an attack costs in packets that have to be waited for. What it costs in
processor time, and in packets that a socket drops, is another question, and stands in no figure here.
"""

from dataclasses import dataclass

import numpy as np

from bench.siege.attackers import Attacker, Shadow
from bench.siege.bulletins import UNIX_S, Rollout
from bench.virtual.box import InlineBox
from bench.virtual.pair import FaultyLink
from carousel.flute.releasefile import Release
from carousel.release.identity import ReleaseId
from headend.cast.broadcaster import Broadcaster
from headend.cast.flute import FluteFormat
from headend.cast.notices import NO_NOTICES
from headend.cast.settings import BroadcastSettings
from settop.rollout.board import Board, Standing
from settop.stitch.policy import BoxProfile

__all__ = ["LIMIT", "Siege", "besiege"]

LIMIT = 30.0
"""A box that has nothing after so many times the ideal time is taken to get nothing."""


@dataclass(frozen=True)
class Siege:
    """How a siege ended: seconds until an image was verified (None: not in time), and whether it was the right one.

    Where boxes obey bulletins: until it may be installed, too; `heard_s` is when a bulletin first was in force.
    """

    verified_s: float | None
    is_right: bool
    forged_packets: int
    heard_s: float | None = None


def besiege(
    release: Release,
    profile: BoxProfile,
    rate_bps: float,
    attacker: Attacker | Shadow | None = None,
    start_packets: int = 0,
    loss: float = 0.0,
    rollout: Rollout | None = None,
) -> Siege:
    """Let a box tune in after `start_packets`, while the attacker sends from the begin; `loss` hits the carousel alone.

    An attacker's packets take no time on the air: what they cost is what the box loses by them. With a roll-out the
    head-end speaks in bulletins, and the box obeys them.
    """
    board = rollout.board() if rollout else None
    box = InlineBox(profile, release.tsi, hear_bulletin=board.hear if board else None)
    link = FaultyLink(np.random.default_rng(start_packets), loss=loss)
    broadcaster = _broadcaster(release, rate_bps, rollout)
    now, sent = 0.0, 0
    while sent < start_packets:
        now = max(now, broadcaster.due(now))
        sent += broadcaster.next_batch(now).count
    begin_s = attack_s = now
    limit_s = LIMIT * release.header.image_size * 8 / rate_bps
    box.tune_in(begin_s)
    forged, heard_s = 0, None
    while now - begin_s < limit_s:
        now = max(now, broadcaster.due(now))
        while attacker is not None and not isinstance(attacker, Shadow) and attack_s <= now:
            false = attacker.packet()
            box.receive(false, attack_s)
            attack_s += false.count / attacker.packets_per_s
            forged += false.count
        batch = broadcaster.next_batch(now)
        arrival_s = now + batch.count * batch.stride * 8 / rate_bps
        for arrived in link.carry(batch):
            heard = attacker.around(arrived) if isinstance(attacker, Shadow) else arrived
            forged += heard.count - arrived.count
            box.receive(heard, arrival_s)
        if board is not None:
            if box.events:
                board.hear_carousel(arrival_s)
            if board.judge(arrival_s) and heard_s is None:
                heard_s = arrival_s - begin_s
        chosen = box.receiver.choose(arrival_s)
        if chosen is not None and _may_install(board, chosen.header.release_id, arrival_s):
            is_right = chosen.header.release_id == release.header.release_id
            return Siege(arrival_s - begin_s, is_right, forged, heard_s)
    return Siege(None, False, forged, heard_s)


def _broadcaster(release: Release, rate_bps: float, rollout: Rollout | None) -> Broadcaster:
    settings = BroadcastSettings(rate_bps, unix_offset_s=UNIX_S)
    return Broadcaster([release], settings, 0.0, FluteFormat(settings, rollout.notices() if rollout else NO_NOTICES))


def _may_install(board: Board | None, release: ReleaseId, now: float) -> bool:
    return board is None or board.verdict(release, now).standing is Standing.TAKE
