"""Power that comes and goes: when a box is on, and when it runs at last though it was switched off in the middle."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.fleet.scenario.values import Cut

__all__ = ["on_spans", "powered_s", "up_s"]

FloatArray = NDArray[np.float64]


def powered_s(starts_s: FloatArray, cuts: Sequence[Cut]) -> FloatArray:
    """Return when boxes power up that would at these times: during a cut, at its end."""
    found = starts_s.copy()
    for cut in cuts:
        found[(found >= cut.at_s) & (found < cut.end_s)] = cut.end_s
    return found


def on_spans(start_s: float, cuts: Sequence[Cut]) -> list[tuple[float, float]]:
    """Return from when until when a box is on that first powers up at `start_s`; the last span has no end."""
    begins_s = [start_s, *(cut.end_s for cut in cuts if cut.at_s > start_s)]
    return list(zip(begins_s, [*(cut.at_s for cut in cuts if cut.at_s > start_s), np.inf], strict=True))


def up_s(verified_s: FloatArray, install_s: float, boot_s: float, cuts: Sequence[Cut]) -> FloatArray:
    """Return when boxes run: what a cut interrupts, installing or starting, begins anew when power is back."""
    now_s = verified_s.copy()
    for step_s in (install_s, boot_s):
        for cut in cuts:
            # A box whose step ends by then is through; later cuts find it in the next one.
            is_hit = (now_s < cut.end_s) & (now_s + step_s > cut.at_s)
            now_s[is_hit] = cut.end_s
        now_s = now_s + step_s
    return now_s
