"""A service whose clock is ours: carousels have the rate of the hour."""

import asyncio

import pytest

from tests.headend.serve.test_app import ANY

NIGHT = {"begin": "01:00", "end": "02:00", "rate_bps": 50e6}
"""It is 01:48 UTC where the clock of the tests begins."""


@pytest.fixture
def lab(office, make_release):
    key = office.upload(make_release(100_000, symbol_size=512))
    assert office.create().status_code == 201
    office.admin.put(f"/api/carousels/lab/releases/{key}", json={}, headers=ANY)
    return office


def change(office, name="lab", **what):
    return office.admin.patch(f"/api/carousels/{name}", json=what, headers=ANY)


def ordered_bps(office):
    (order,) = office.keeper.orders
    assert order.options().rate_bps == order.rate_bps
    return order.rate_bps


def tend_after(office, seconds):
    office.time.now_s += seconds
    asyncio.run(office.headend.tend())


def test_the_rate_follows_the_time_of_day(lab):
    shown = change(lab, hours=[NIGHT]).json()
    assert (shown["rate_now_bps"], shown["decided"]["rate_bps"], ordered_bps(lab)) == (50e6, 8e6, 50e6)
    tend_after(lab, 600)
    assert ordered_bps(lab) == 50e6
    tend_after(lab, 600)
    assert ordered_bps(lab) == 8e6
    assert lab.told[-1] == ("rate", {"carousel": "lab", "rate_bps": 8e6})
    tend_after(lab, 23 * 3600)
    assert ordered_bps(lab) == 50e6
    assert change(lab, hours=[]).json()["rate_now_bps"] == 8e6
    assert ordered_bps(lab) == 8e6


def test_another_hour_needs_no_new_order_of_what_is_on_the_air(lab):
    (before,) = lab.keeper.orders
    change(lab, hours=[NIGHT | {"begin": "05:00", "end": "06:00"}])
    (after,) = lab.keeper.orders
    assert before.fits(after), "the same rate now: the socket stays open"
    tend_after(lab, 4 * 3600)
    (night,) = lab.keeper.orders
    assert not after.fits(night)


def test_the_interface_bears_the_most_of_the_day(lab):
    assert change(lab, hours=[NIGHT | {"rate_bps": 101e6}]).status_code == 409
    assert change(lab, hours=[NIGHT | {"rate_bps": 90e6}]).status_code == 200
    taken = lab.create("two", group="239.255.77.2:5077", rate_bps=20e6)
    assert (taken.status_code, "at some time of the day" in taken.json()["detail"]) == (409, True)
    other = {"begin": "01:00", "end": "02:00", "rate_bps": 1e6}
    assert lab.create("two", group="239.255.77.2:5077", rate_bps=20e6, hours=[other]).status_code == 201
    (shown,) = lab.admin.get("/api/status").json()["interfaces"]
    assert shown["wanted_bps"] == 91e6


def test_deadlines_hold_at_the_lowest_rate(lab):
    (airing,) = lab.admin.get("/api/carousels/lab").json()["decided"]["airings"]
    path = f"/api/carousels/lab/releases/{airing['release']}"
    assert lab.admin.put(path, json={"deadline_s": 2}, headers=ANY).status_code == 200
    refused = change(lab, hours=[NIGHT | {"rate_bps": 1e4}])
    assert refused.status_code == 422, refused.text


@pytest.mark.parametrize("night", [{"begin": "1:00"}, {"end": "24:00"}, {"rate_bps": 1}, {"begin": "02:00"}])
def test_hours_that_make_no_sense_are_refused(lab, night):
    refused = change(lab, hours=[NIGHT | night])
    assert refused.status_code in (400, 422)
    assert "regex" not in refused.json()["detail"]
