"""Two reports side by side: what is the same is said once."""

from bench.fleet.report.compare import _title, comparison


def report(boxes, never, p50_s, last_s):
    time = {"boxes": boxes, "never": never, "p50_s": p50_s, "p99_s": None, "p99.99_s": None, "last_s": last_s}
    scenario = {"title": "a shelf", "boxes": boxes}
    return {"scenario": scenario, "stories": [{"label": "carousel", "in_time": 1.0, "time": time}]}


def test_what_changed_is_told_in_percent_and_what_did_not_once():
    head, rows = comparison(report(100, 0, 10.0, 10.0), report(100, 1, 10.0, 15.0))
    assert head == ["strategy", "in time", "never", "p50", "p99", "p99.99", "last"]
    assert rows == [["carousel", "all", "0 → 1.00%", "10 s", "-", "-", "10 s → 15 s (+50.0%)"]]


def test_a_change_that_rounds_to_nothing_has_no_sign():
    _, rows = comparison(report(100, 0, 10.0, 10.0), report(100, 0, 10.0, 9.9999))
    assert rows[0][-1] == "10 s"


def test_a_scenario_of_two_sizes_is_named_once():
    assert _title(report(48, 0, 1, 1), report(40, 0, 1, 1)) == "a shelf, 48 boxes against 40 boxes"
    assert _title(report(48, 0, 1, 1), report(48, 1, 1, 1)) == "a shelf, 48 boxes"


def test_a_report_of_a_run_that_was_ended_early_is_called_partial():
    whole, partial = report(48, 0, 1, 1), report(48, 0, 1, 1) | {"is_partial": True}
    assert _title(whole, partial) == "a shelf, 48 boxes against 48 boxes (PARTIAL: ended early)"
    other = partial | {"scenario": {"title": "a town", "boxes": 9}}
    assert _title(other, whole) == "a town, 9 boxes (PARTIAL: ended early) against a shelf, 48 boxes"
