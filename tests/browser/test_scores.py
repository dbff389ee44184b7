"""Accuracy: the server's figures in the panel, those of one segment in the drawer."""

import time

from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.fake_server import FakeServer, Message
from tests.browser.look import LIVE, expect_pill, part, row

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
