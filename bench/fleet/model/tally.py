"""What became of some boxes: counts only, so that tallies of any number of boxes add up, in any order, to the same."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.fleet.model.histogram import Histogram, bins_of
from carousel.release.blocks import IntArray

__all__ = ["EVENTS", "STEPS", "Tally", "phases_of_events"]

STEPS = 1000
"""Steps of the horizon at which phases are counted."""
EVENTS = ("power", "fallback", "return", "verified", "up")
"""Power on; EEPROM booted at the deadline; from there to the image after all; image verified; image started."""
EFFICIENCY_BINS = 1000
FloatArray = NDArray[np.float64]


def _no_events() -> dict[str, IntArray]:
    return {name: np.zeros(STEPS + 1, dtype=np.int64) for name in EVENTS}


@dataclass
class Tally:
    """Boxes of one strategy. `boot` by region, from power-on to the started image; `events` by step of the horizon,
    the last entry for what comes later or never; `efficiency`, needed over received symbols, in 1,000 bins from 0 to 1;
    `packets` that simulated receivers took in one by one, of which so many boxes were real and so many counted
    receivers (packet.py); `notes` on what was drawn from, with its measured error.
    """

    horizon_s: float
    boot: dict[str, Histogram] = field(default_factory=dict)
    events: dict[str, IntArray] = field(default_factory=_no_events)
    efficiency: IntArray = field(default_factory=lambda: np.zeros(EFFICIENCY_BINS + 1, dtype=np.int64))
    packets: int = 0
    real_boxes: int = 0
    counted_boxes: int = 0
    notes: dict[str, float | None] = field(default_factory=dict)

    @property
    def boxes(self) -> int:
        """All boxes."""
        return sum(each.total for each in self.boot.values())

    def add(self, other: "Tally") -> None:
        """Take in another tally of the same horizon."""
        for region, histogram in other.boot.items():
            self.boot.setdefault(region, Histogram()).add(histogram)
        for name in EVENTS:
            self.events[name] = self.events[name] + other.events[name]
        self.efficiency = self.efficiency + other.efficiency
        self.packets += other.packets
        self.real_boxes += other.real_boxes
        self.counted_boxes += other.counted_boxes
        self.notes |= other.notes

    def count(self, name: str, times_s: FloatArray, counts: IntArray | None = None) -> None:
        """Count events at these times of the scenario, infinity for never."""
        steps = np.minimum(times_s / self.horizon_s * STEPS, STEPS).astype(np.int64)
        np.add.at(self.events[name], steps, 1 if counts is None else counts)

    def count_boxes(
        self,
        region: str,
        starts_s: FloatArray,
        verified_s: FloatArray,
        up_s: FloatArray,
        deadline_s: float,
        counts: IntArray | None = None,
    ) -> None:
        """Count boxes of a region by when they power up, have their image and run (infinity for never), `counts` of
        each kind.
        """
        each = np.ones(len(starts_s), dtype=np.int64) if counts is None else counts
        is_late = verified_s > starts_s + deadline_s
        self.count("power", starts_s, each)
        self.count("fallback", (starts_s + deadline_s)[is_late], each[is_late])
        self.count("return", verified_s[is_late], each[is_late])
        self.count("verified", verified_s, each)
        self.count("up", up_s, each)
        is_seen = up_s <= self.horizon_s
        histogram = self.boot.setdefault(region, Histogram())
        np.add.at(histogram.counts, bins_of((up_s - starts_s)[is_seen]), each[is_seen])
        histogram.unfinished += int(each[~is_seen].sum())

    def count_efficiency(self, efficiency: FloatArray, counts: IntArray | None = None) -> None:
        """Count boxes by the share of what they received that they needed."""
        bins = np.clip(efficiency * EFFICIENCY_BINS, 0, EFFICIENCY_BINS).astype(np.int64)
        np.add.at(self.efficiency, bins, 1 if counts is None else counts)

    def all_boot(self) -> Histogram:
        """Return the times of all regions."""
        whole = Histogram()
        for each in self.boot.values():
            whole.add(each)
        return whole


def phases_of_events(events: dict[str, IntArray]) -> dict[str, IntArray]:
    """Return how many boxes are in each phase at the end of each step (STEPS,)."""
    reached = {name: np.cumsum(counts)[:-1] for name, counts in events.items()}
    on_eeprom = reached["fallback"] - reached["return"]
    total = int(events["power"].sum())
    return {
        "off": total - reached["power"],
        "receiving": reached["power"] - reached["verified"] - on_eeprom,
        "on EEPROM": on_eeprom,
        "starting": reached["verified"] - reached["up"],
        "up": reached["up"],
    }
