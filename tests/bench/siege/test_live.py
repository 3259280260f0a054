"""A flood by real processes on the loopback: the image comes all the same. No figure is judged on a busy machine."""

import pytest

from bench.siege.live import FLOODS, Live


@pytest.mark.processes
@pytest.mark.parametrize("name", ["empty datagrams", "packets of all sizes", "at the carousel's rate"])
def test_a_real_flood_stops_no_reception(tmp_path, name):
    flood = next(each for each in FLOODS if name in each.name)
    live = Live(tmp_path, 1_000_000, 20e6, "lo", seed=5)
    with live.on_air():
        report = live.receive(flood, timeout_s=60)
    print(f"{flood.name}: {report.verified_s} s, {report.socket_drops} drops")
    assert report.verified_s is not None


@pytest.mark.processes
@pytest.mark.parametrize("repair_ratio", [3, 4])
def test_forged_symbols_of_many_repair_symbols_hold_nobody_past_the_deadline(tmp_path, repair_ratio):
    """More is on the air than can come in time, most of it forged: the box ends by its deadline, and says so."""
    flood = next(each for each in FLOODS if "10 times" in each.name)
    live = Live(tmp_path, 8_000_000, 20e6, "lo", seed=5, repair_ratio=repair_ratio)
    assert live.release.layout.objects[0].repair_symbols >= 2.9 * live.release.layout.objects[0].source_symbols
    with live.on_air():
        report = live.receive(flood, timeout_s=2)
    assert report.verified_s is None
