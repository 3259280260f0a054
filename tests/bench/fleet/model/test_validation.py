"""The sampled fleet against single boxes simulated from docs/protocol.md (montecarlo.py): a quick set.

The whole is `bootbench validate`.
"""

from dataclasses import replace

import numpy as np
import pytest

from bench.fleet.model.curves import curve_of
from bench.fleet.model.histogram import EDGES_S
from bench.fleet.validate import POINTS as POINTS_OF_ALL
from bench.fleet.validate import Verdict, _write_page
from tests.bench.fleet.fleets import scenario
from tests.bench.fleet.montecarlo import Loss, Setting, times_s

SHARES = (0.1, 0.5, 0.9, 0.99)
POINTS = {
    "independent": ({"repair": 1.0, "down": "loss=5%"}, Loss(0.05), None),
    "bursts": ({"repair": 1.0, "down": "loss=10%,burst=8"}, Loss(0.1, 8), None),
    "plain": ({"repair": 0.0, "down": "loss=5%"}, Loss(0.05), None),
    "above the repair": ({"repair": 0.5, "down": "loss=45%"}, Loss(0.45), None),
    "plain behind a trunk": ({"repair": 0.0, "down": "", "trunk": "loss=1%,burst=10"}, Loss(), Loss(0.01, 10)),
    "starts over seconds": ({"repair": 1.0, "down": "loss=1%", "spread_s": 12.0}, Loss(0.01), None),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", POINTS)
def test_the_curve_is_that_of_single_boxes(name):
    fields, own, trunk = POINTS[name]
    fields = {"spread_s": 30.0, **fields}
    fleet = scenario(1_000_000, 300_000, rate_bps=20e6, symbol_bytes=1440, street=1000, **fields)
    curve = curve_of(fleet, fleet.classes[0], 3)
    boxes = 3000
    found = np.sort(times_s(Setting(300_000, 20e6, fields["repair"]), own, boxes, 5, trunk))
    for share in SHARES:
        if 1 - share < curve.shown - 1e-12:
            continue
        said_s = EDGES_S[int(np.argmax(curve.late <= 1 - share))]
        scatter = 3.3 * (share * (1 - share) / boxes) ** 0.5
        low_s, high_s = np.quantile(found, [max(0.0, share - scatter), min(1.0, share + scatter)])
        assert 0.99 * low_s <= said_s <= 1.01 * high_s, (name, share, curve.note)


def test_the_page_says_first_what_holds_and_shows_the_worst_on_top(tmp_path):
    good = Verdict(POINTS_OF_ALL[0], 1000, (0.1,) * 5 + (None,), (0.1,) * 6, 0.01, 0.001, "c: law, within 0.1 %")
    bad = replace(good, point=POINTS_OF_ALL[5], worst=0.03, note="c: drawn from 12,000 boxes one by one")
    _write_page([good, bad], tmp_path / "index.html", 7)
    page = (tmp_path / "index.html").read_text()
    assert "1 of 2 settings hold" in page
    assert page.index("<th>holds") < page.index("<th>p1")
    assert page.index(f"<td>{bad.point.name}</td><td>NO</td><td>3.00%") < page.index(
        f"<td>{good.point.name}</td><td>yes"
    )
    assert "refused / 0.1" in page
    assert "Seed 7" in page
