"""How good the predictions were, on the page: the server's figures in the panel, the chart's own in the drawer."""

import time

from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.fake_server import FakeServer, Message
from tests.browser.look import LIVE, expect_pill, part, row

MINUTE_MS = 60_000


def score(count: int, rmse: float, mae: float, bias: float, still: float | None) -> Message:
    persistence = None if still is None else {"count": count, "rmse": still, "mae": still, "bias": still}
    return {"count": count, "rmse": rmse, "mae": mae, "bias": bias, "persistence": persistence}


SCORES = score(1650, 3.42, 2.5, -0.75, 5.1) | {
    "by_horizon": [
        {"horizon_minutes": 5, **score(1500, 2.0, 1.5, 0.25, None)},
        {"horizon_minutes": 15, **score(150, 9.0, 7.0, -1.0, 12.0)},
    ]
}


def test_nothing_is_said_of_accuracy_before_something_was_scored(server: FakeServer, open_page: OpenPage) -> None:
    server.publish("A")
    server.sum_up(total=1, scores=None)
    page = open_page()
    expect_pill(page, LIVE)
    expect(part(page, "error")).to_have_text("not yet scored")
    expect(part(page, "scores")).to_be_hidden()
    assert "%" not in part(page, "panel").locator(".summary").inner_text()


def test_scores_stand_by_horizon_beside_the_forecast_that_nothing_changes(
    server: FakeServer, open_page: OpenPage
) -> None:
    server.publish("A")
    page = open_page()
    expect(part(page, "error")).to_have_text("not yet scored")
    server.sum_up(total=1, scores=SCORES)
    rows = part(page, "scoreRows").locator("tr")
    expect(rows).to_have_count(3)
    assert [each.split() for each in rows.all_inner_texts()] == [
        ["5", "min", "2.0", "1.5", "+0.3", "\N{EN DASH}", "1,500"],
        ["15", "min", "9.0", "7.0", "\N{MINUS SIGN}1.0", "12.0", "150"],
        ["All", "3.4", "2.5", "\N{MINUS SIGN}0.8", "5.1", "1,650"],
    ]
    shown = {name: part(page, name).inner_text() for name in ("error", "still", "judged")}
    assert shown == {"error": "3.4 mph", "still": "5.1 mph", "judged": "1,650"}


def test_the_drawer_scores_a_segment_once_its_target_times_were_measured(
    server: FakeServer, open_page: OpenPage
) -> None:
    begin = int(time.time() * 1000) - 60 * MINUTE_MS
    for step in range(6):
        at = begin + 5 * step * MINUTE_MS
        server.publish("A", 42.0 + step, current_speed=40.0 + step, timestamp=at, horizon_minutes=15)
    page = open_page()
    row(page, "A").click()
    note = part(page, "chartNote")
    expect(note).to_have_text("3 predictions of 15 min scored: RMSE 1.0, MAE 1.0 mph; if nothing changed: 3.0.")


def test_the_drawer_scores_nothing_by_the_speed_of_now(server: FakeServer, open_page: OpenPage) -> None:
    for speed in (40.0, 41.0, 42.0):
        server.publish("A", speed)
    page = open_page()
    row(page, "A").click()
    expect(part(page, "chartNote")).to_contain_text("don't say how far ahead")
