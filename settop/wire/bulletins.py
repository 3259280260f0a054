"""Which bulletins are passed on to be looked at (settop/rollout/board.py): so many a second, and of equal ones a few.

So recordings, played back however fast, leave the way free for what is new. Of a flood in which all differ, a share is
passed on.
"""

import math

from settop.wire.gate import Allowance

__all__ = ["BULLETINS_PER_S", "REPEATS_PER_S", "BulletinSieve"]

BULLETINS_PER_S = 500
REPEATS_PER_S = 4
"""No head-end sends one more often (with its announcements), and a board ranks by how often one is heard."""


class BulletinSieve:
    """Remembers what was passed on within a second: at most two seconds' allowance."""

    def __init__(self) -> None:
        self._allowance = Allowance(BULLETINS_PER_S)
        self._since_s = -math.inf
        self._passed: dict[bytes, int] = {}

    def passes(self, raw: bytes, now: float) -> bool:
        """Say whether this packet may be passed on, and count it."""
        if not 0 <= now - self._since_s < 1.0:
            self._since_s = now
            self._passed.clear()
        times = self._passed.get(raw, 0)
        if times >= REPEATS_PER_S or not self._allowance.take(now):
            return False
        self._passed[raw] = times + 1
        return True
