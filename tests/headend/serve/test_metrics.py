"""Metrics by Prometheus' conventions, as promtool reads them (where it is installed)."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.headend.serve.test_app import ANY
from tests.headend.serve.test_keeping import STATUS

ROOT = Path(__file__).parents[3]


@pytest.fixture
def text(office, make_release):
    key = office.upload(make_release(100_000, symbol_size=512))
    office.create()
    office.admin.put(f"/api/carousels/lab/releases/{key}", json={}, headers=ANY)
    office.keeper.views["lab"].hear(STATUS, 99.5)
    answer = office.admin.get("/metrics")
    assert answer.status_code == 200
    return answer.text


def families(text):
    return {family.name: family for family in text_string_to_metric_families(text)}


def test_they_tell_what_the_process_tells(text):
    found = families(text)
    value = lambda name: found[name].samples[0].value  # noqa: E731
    assert value("bootcast_carousel_sent_bytes") == 146_800
    assert value("bootcast_carousel_rate_bytes_per_second") == 1e6
    assert value("bootcast_carousel_announcement_age_seconds") == pytest.approx(0.6)
    assert value("bootcast_carousel_send_errors") == 1
    assert value("bootcast_interface_budget_bytes_per_second") == 12.5e6
    assert found["bootcast_carousel_sent_bytes"].samples[0].labels == {"carousel": "lab"}


def test_names_follow_the_conventions(text):
    for name, family in families(text).items():
        assert re.fullmatch(r"bootcast_[a-z_]+", name)
        assert family.documentation.endswith(".")
        assert not re.search(r"_(ms|bits|kb|mb|pct|percent|count|total)$", name)


@pytest.mark.promtool
def test_promtool_has_nothing_to_say(text):
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_they_are_for_those_who_may_look(office, make_office):
    assert office.anyone.get("/metrics").status_code == 401
    assert office.as_role("view").get("/metrics").status_code == 200


def test_an_operator_may_open_them(make_office):
    assert make_office(has_open_metrics=True).anyone.get("/metrics").status_code == 200


def test_the_dashboard_asks_for_metrics_that_there_are(text):
    dashboard = json.loads((ROOT / "docs" / "grafana.json").read_text())
    asked = set(re.findall(r"bootcast_[a-z_]+", json.dumps(dashboard)))
    assert len(asked) > 5
    known = {sample.name for family in families(text).values() for sample in family.samples}
    known |= {"bootcast_release_share_ratio", "bootcast_release_stage_ratio", "bootcast_release_halted"}
    known |= {"bootcast_carousel_trials", "bootcast_gate_logins_per_second", "bootcast_gate_capacity_per_second"}
    assert asked <= known, asked - known
