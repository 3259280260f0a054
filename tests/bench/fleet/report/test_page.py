"""The page in a real browser: it is read by pointing, lines hide, and nothing lies beyond the edge of a wide screen."""

from dataclasses import replace

import numpy as np
import pytest

from bench.fleet.model.histogram import Histogram
from bench.fleet.model.tally import STEPS, Tally, phases_of_events
from bench.fleet.report.page import write_page
from bench.fleet.run import FleetRun
from bench.fleet.storm.crowd import LOGIN_START, Story
from tests.bench.fleet.fleets import scenario

pytestmark = [pytest.mark.browser, pytest.mark.slow]
BOXES = 1_000_000


def story(label, finished, time_s, counts_from="power-on"):
    tally = Tally(3600.0)
    tally.boot["here"] = Histogram.of_counts(np.array([time_s]), np.array([finished]), BOXES)
    tally.count("power", np.zeros(1), np.array([BOXES]))
    tally.count("up", np.array([time_s, np.inf]), np.array([finished, BOXES - finished]))
    return Story(label, 7, tally, phases_of_events(tally.events), [], 1000.0, counts_from)


@pytest.fixture(scope="module")
def page_path(tmp_path_factory):
    stories = [story("carousel", BOXES, 40.0), story("unicast, backoff retry", BOXES // 25, 400.0)]
    stories += [
        story(
            f"login after carousel, {retry} retry, healing on, takes what it can answer in time",
            BOXES,
            time_s,
            LOGIN_START,
        )
        for retry, time_s in (("immediate", 60.0), ("backoff", 600.0))
    ]
    path = tmp_path_factory.mktemp("page") / "index.html"
    write_page(FleetRun(replace(scenario(BOXES), horizon_s=3600.0), "sampled", [7], stories), path)
    assert len(next(iter(stories[0].phases.values()))) == STEPS
    return path


@pytest.mark.parametrize(("width", "kind"), [(1400, "broad"), (400, "narrow")])
def test_one_reads_a_chart_by_pointing_and_hides_a_line_by_clicking(browser, page_path, width, kind):
    complaints = []
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(page_path.as_uri())
    charts = page.locator(f"svg.curves.{kind}")
    assert charts.count() == 2
    charts.first.scroll_into_view_if_needed()
    box = charts.first.bounding_box()
    page.mouse.move(box["x"] + 0.55 * box["width"], box["y"] + 0.4 * box["height"])
    said = page.locator("p.reading").first.inner_text()
    assert "carousel: 100.000 %" in said
    assert "unicast, backoff retry: 0.00 %" in said
    charts.first.locator("g.series text").last.click()
    page.mouse.move(box["x"] + 0.55 * box["width"], box["y"] + 0.5 * box["height"])
    assert "unicast" not in page.locator("p.reading").first.inner_text()
    assert complaints == []
    page.close()


def test_nothing_lies_beyond_the_edge_of_a_wide_screen(browser, page_path):
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.goto(page_path.as_uri())
    hidden = page.evaluate("[...document.querySelectorAll('.wide')].filter(e => e.scrollWidth > e.clientWidth).length")
    assert hidden == 0
    page.close()
