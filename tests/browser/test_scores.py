"""Accuracy: the server's figures in the panel, those of one segment in the drawer."""

import time

from playwright.sync_api import Page, expect

from consumer.scoring.report import report
from consumer.scoring.tally import WindowTally, scale_of
from consumer.settings import Settings
from tests.browser.conftest import OpenPage
from tests.browser.fake_server import FakeServer, Message
from tests.browser.look import LIVE, expect_pill, part, row, violations

MINUTE_MS = 60_000


def score(count: int, rmse: float, mae: float, bias: float, no_change: float | None) -> Message:
    persistence = None if no_change is None else dict.fromkeys(("rmse", "mae", "bias"), no_change) | {"count": count}
    return {"count": count, "rmse": rmse, "mae": mae, "bias": bias, "persistence": persistence}


SCORES = score(1650, 3.42, 2.5, -0.75, 5.1) | {
    "by_horizon": [
        {"horizon_minutes": 5, **score(1500, 2.0, 1.5, 0.25, None)},
        {"horizon_minutes": 15, **score(150, 9.0, 7.0, -1.0, 12.0)},
    ]
}


def test_accuracy_is_hidden_before_a_forecast_is_checked(server: FakeServer, open_page: OpenPage) -> None:
    server.publish("A")
    server.sum_up(total=1, scores=None)
    page = open_page()
    expect_pill(page, LIVE)
    expect(part(page, "error")).to_have_text("\N{EN DASH}")
    expect(part(page, "scores")).to_be_hidden()
    assert "%" not in part(page, "panel").locator(".summary").inner_text()


def test_scores_by_horizon_include_the_no_change_forecast(server: FakeServer, open_page: OpenPage) -> None:
    server.publish("A")
    page = open_page()
    expect(part(page, "error")).to_have_text("\N{EN DASH}")
    server.sum_up(total=1, scores=SCORES)
    rows = part(page, "scoreRows").locator("tr")
    expect(rows).to_have_count(3)
    assert [each.split() for each in rows.all_inner_texts()] == [
        ["5", "min", "2.0", "1.5", "+0.3", "\N{EN DASH}", "1,500"],
        ["15", "min", "9.0", "7.0", "\N{MINUS SIGN}1.0", "12.0", "150"],
        ["All", "3.4", "2.5", "\N{MINUS SIGN}0.8", "5.1", "1,650"],
    ]
    shown = {name: part(page, name).inner_text() for name in ("error", "noChange", "checked")}
    assert shown == {"error": "3.4 mph", "noChange": "5.1 mph", "checked": "1,650"}


def score_report(offset: float = 0.0, level: float | None = 0.9) -> Message:
    """Return a report as the server makes it, of two horizons and models."""
    scale = scale_of(Settings())
    tallies = {}
    for minutes, model, error in ((5, "graph-1", 2.0), (15, "graph-1", 6.0), (15, "graph-2\u202e", 4.0)):
        tally = tallies[minutes, model] = WindowTally(scale, 1_000, 0)
        for now, actual, count in ((60.0, 62.0, 1_200), (20.0, 10.0, 90), (60.0, 30.0, 12)):
            for _ in range(count):
                tally.add(0, actual + error + offset, now, actual, is_observed=False)
                tally.add_interval(0, now, actual, is_inside=error < 5)
    tallies[15, "graph-1"].add_unscored(0, not_judged=7, late=2)
    found = report(scale, {key: tally.total() for key, tally in tallies.items()})
    return {"congested_below": 45.0, "interval_level": level, **found}


def open_regimes(page: Page) -> None:
    """Open what is closed at first: the panel only on a low screen."""
    expect(part(page, "scores")).to_be_visible()
    part(page, "scores").evaluate("details => (details.open = true)")
    expect(part(page, "regimeRows")).to_be_hidden()
    part(page, "regimes").locator("summary").click()


def test_accuracy_by_traffic_and_model_is_loaded_when_opened(server: FakeServer, open_page: OpenPage) -> None:
    server.score_report = score_report()
    server.publish("A", horizon_minutes=15)
    server.sum_up(total=1, scores=SCORES)
    page = open_page()
    expect(part(page, "scoreRows").locator("tr")).to_have_count(3)
    open_regimes(page)
    rows = part(page, "regimeRows").locator("tr")
    expect(rows).to_have_count(3)
    dash = "\N{EN DASH}"
    assert [each.split() for each in rows.all_inner_texts()] == [
        ["Free", "4.3", "6", "%", "\N{MINUS SIGN}3.67", "67", "%", "3,600"],
        ["Congested", "4.3", "40", "%", "0.81", "67", "%", "270"],
        ["Transition", "4.3", "13", "%", "0.98", "67", "%", "36"],
    ]
    models = part(page, "modelRows").locator("tr")
    assert [each.split("\t")[0] for each in models.all_inner_texts()] == [
        "5 min, graph-1",
        "15 min, graph-1",
        "15 min, graph-2\N{REPLACEMENT CHARACTER}",
    ]
    expect(part(page, "usualSkillTitle")).to_be_hidden()
    assert dash not in part(page, "regimeRows").inner_text()
    assert part(page, "regimesNote").inner_text() == (
        "Congested: below 45.0 mph when predicted and at the target time; transition: at one of them. "
        "90 % should be inside the interval. 7 not checked: no speed measured near the target time. "
        "2 came after the target time was measured."
    )
    assert violations(page) == []


def test_accuracy_by_traffic_follows_the_chosen_horizon(server: FakeServer, open_page: OpenPage) -> None:
    server.score_report = score_report(level=None)
    server.publish("A", horizon_minutes=15)
    server.sum_up(total=1, scores=SCORES)
    page = open_page("?horizon=15")
    open_regimes(page)
    expect(part(page, "regimesTime")).to_have_text(", 15 min")
    rows = part(page, "regimeRows").locator("tr")
    expect(rows).to_have_count(3)
    assert rows.first.inner_text().split()[-1] == "2,400"
    assert [each.split("\t")[0] for each in part(page, "modelRows").locator("tr").all_inner_texts()] == [
        "graph-1",
        "graph-2\N{REPLACEMENT CHARACTER}",
    ]
    expect(part(page, "regimesNote")).not_to_contain_text("should be inside")


def test_the_drawer_checks_measured_target_times(server: FakeServer, open_page: OpenPage) -> None:
    begin = int(time.time() * 1000) - 60 * MINUTE_MS
    for step in range(6):
        at = begin + 5 * step * MINUTE_MS
        server.publish("A", 42.0 + step, current_speed=40.0 + step, timestamp=at, horizon_minutes=15)
    page = open_page()
    row(page, "A").click()
    note = part(page, "chartNote")
    expect(note).to_have_text("3 forecasts of 15 min checked: RMSE 1.0, MAE 1.0 mph; no-change forecast: RMSE 3.0.")


def test_the_drawer_checks_nothing_without_a_horizon(server: FakeServer, open_page: OpenPage) -> None:
    for speed in (40.0, 41.0, 42.0):
        server.publish("A", speed)
    page = open_page()
    row(page, "A").click()
    expect(part(page, "chartNote")).to_contain_text("state no horizon")
