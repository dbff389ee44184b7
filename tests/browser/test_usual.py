"""The usual day on the page: in the table, the popup, the drawer and its chart; and predictions that are unsure."""

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.fake_server import FakeServer
from tests.browser.look import part, row, rows, violations
from tests.browser.test_scores import SCORES
from tests.browser.watched import PHONE, Watched

MINUTE_MS = 60_000
USUAL = {
    "A": {"low": 47.0, "median": 54.0, "high": 60.0, "count": 24},
    "B": {"low": 58.0, "median": 62.0, "high": 66.0, "count": 24},
}


@pytest.fixture
def learning() -> Iterator[FakeServer]:
    """Yield a running server that has usual speeds."""
    server = FakeServer(usual_timezone="America/Los_Angeles")
    server.usual = USUAL
    server.start()
    yield server
    server.stop()


def publish_hour(server: FakeServer, segment: str, speed: float, **fields: float) -> None:
    """Publish a forecast of 15 min every five minutes."""
    begin = int(time.time() * 1000) - 90 * MINUTE_MS
    for step in range(19):
        at = begin + 5 * step * MINUTE_MS
        server.publish(segment, speed + step % 3, current_speed=speed, timestamp=at, horizon_minutes=15, **fields)


def open_drawer(page: Page, segment: str) -> None:
    """Open the drawer of a segment."""
    row(page, segment).click()
    expect(part(page, "drawer")).to_be_visible()


def test_speeds_are_compared_with_the_usual_ones(learning: FakeServer, watched: Watched) -> None:
    publish_hour(learning, "A", 32.0)
    publish_hour(learning, "B", 63.0)
    publish_hour(learning, "C", 20.0)
    page = watched.open(f"{learning.url}/predictions?sort=usual")
    expect(row(page, "A").locator("[data-part=usual]")).to_have_text("\N{MINUS SIGN}22.0")
    expect(row(page, "B").locator("[data-part=usual]")).to_have_text("+1.0")
    expect(row(page, "C").locator("[data-part=usual]")).to_be_empty()
    assert rows(page) == ["A", "B", "C"]
    open_drawer(page, "A")
    expect(part(page, "drawer").locator("[data-part=popupUsual]")).to_contain_text(
        "22.0 mph from 54.0 (47\N{EN DASH}60) at "
    )
    assert len([each for each in learning.usual_asked if each.isdigit()]) <= 3, "quarter-hours, each once"


def test_the_chart_has_a_band_of_the_usual_day(learning: FakeServer, watched: Watched) -> None:
    publish_hour(learning, "A", 32.0, lower=28.0, upper=39.0)
    page = watched.open(f"{learning.url}/predictions")
    open_drawer(page, "A")
    chart = part(page, "chart")
    expect(chart).to_have_attribute("data-lines", "low high median lower upper measured predicted error")
    expect(chart.locator(".u-legend .usual")).to_contain_text("Usual")
    text = chart.get_attribute("aria-label") or ""
    assert "Usual 54.0, from 47.0 to 60.0 mph." in text
    assert "from 28.0 to 39.0" in text
    expect(part(page, "chartNote")).to_contain_text("Usually off by 1 mph here.")
    expect(part(page, "chartNote")).to_contain_text("usual speed: RMSE 22.0")
    expect(part(page, "drawer").locator("[data-part=popupInterval]")).to_have_text(" (28\N{EN DASH}39)")
    assert violations(page) == []


def test_a_chart_is_drawn_in_forced_colours(learning: FakeServer, watched: Watched) -> None:
    publish_hour(learning, "A", 32.0, lower=28.0, upper=39.0)
    page = watched.open(f"{learning.url}/predictions", forced_colors="active", color_scheme="dark")
    open_drawer(page, "A")
    expect(part(page, "chart").locator("canvas")).to_be_visible()
    expect(part(page, "chart")).to_have_attribute("data-lines", "low high median lower upper measured predicted error")


def test_without_usual_speeds_nothing_is_shown_or_requested(server: FakeServer, watched: Watched) -> None:
    publish_hour(server, "A", 32.0)
    page = watched.open(f"{server.url}/predictions")
    open_drawer(page, "A")
    expect(part(page, "chart")).to_have_attribute("data-lines", "measured predicted error")
    expect(part(page, "chart").locator(".u-legend .edge").first).to_be_hidden()
    expect(page.get_by_role("columnheader", name="vs usual")).to_have_count(0)
    expect(part(page, "drawer").locator("[data-part=popupUsualItem]")).to_be_hidden()
    assert server.usual_asked == []


def test_the_details_have_the_usual_speed_on_a_phone(learning: FakeServer, watched: Watched) -> None:
    publish_hour(learning, "A", 32.0)
    page = watched.open(f"{learning.url}/predictions", viewport=PHONE)
    open_drawer(page, "A")
    expect(part(page, "drawer").locator("[data-part=popupUsual]")).to_be_visible()


def test_a_prediction_of_low_confidence_looks_unsure(server: FakeServer, watched: Watched) -> None:
    server.publish("A", 42.0, confidence=0.3)
    server.publish("B", 42.0, confidence=0.9)
    page = watched.open(f"{server.url}/predictions")
    expect(row(page, "A").get_by_role("img", name="low confidence")).to_be_visible()
    expect(row(page, "B").get_by_role("img", name="low confidence")).to_have_count(0)
    open_drawer(page, "A")
    expect(part(page, "drawer").locator("[data-part=popupConfidence]")).to_have_text("30 %, low")


def test_scores_have_the_usual_speed_as_a_baseline(learning: FakeServer, watched: Watched) -> None:
    learning.publish("A")
    page = watched.open(f"{learning.url}/predictions")
    usual = {"count": 900, "rmse": 6.25, "mae": 4.0, "bias": 0.5}
    first = SCORES["by_horizon"][0] | {"usual": usual}
    learning.sum_up(total=1, scores=SCORES | {"usual": usual, "by_horizon": [first, SCORES["by_horizon"][1]]})
    expect(part(page, "usualTitle")).to_be_visible()
    found = part(page, "scoreRows").locator("[data-part=usualScore]")
    assert found.all_inner_texts() == ["6.3", "\N{EN DASH}", "6.3"]
