import numpy as np

from bench.fleet.model.power import on_spans, powered_s, up_s
from bench.fleet.scenario.values import Cut

CUTS = (Cut(10.0, 5.0), Cut(30.0, 1.0))


def test_who_would_power_up_during_a_cut_does_at_its_end():
    assert powered_s(np.array([9.9, 10.0, 14.9, 15.0]), CUTS).tolist() == [9.9, 15.0, 15.0, 15.0]


def test_a_box_is_on_between_cuts():
    assert on_spans(3.0, CUTS) == [(3.0, 10.0), (15.0, 30.0), (31.0, np.inf)]
    assert on_spans(20.0, CUTS) == [(20.0, 30.0), (31.0, np.inf)]
    assert on_spans(3.0, ()) == [(3.0, np.inf)]


def test_what_a_cut_interrupts_begins_anew_and_what_is_installed_stays():
    assert up_s(np.array([1.0, 8.0, 5.0, np.inf]), 3.0, 4.0, CUTS).tolist() == [8.0, 22.0, 19.0, np.inf]
    assert up_s(np.array([20.0]), 11.0, 4.0, CUTS).tolist() == [46.0]
    assert up_s(np.array([1.0]), 3.0, 4.0, ()).tolist() == [8.0]
