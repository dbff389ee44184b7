"""Data in table, chips and empty states."""

import time
from collections import Counter

from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.fake_server import FakeServer, prediction
from tests.browser.look import LIVE, counts, expect_pill, expect_value, part, row, rows
from tests.browser.watched import Watched

HOSTILE = {
    "markup": "<img src=x onerror=alert(1)><script>alert(2)</script>",
    "closing": '"></td></tr></table><h1>owned</h1>',
    "template": "${alert(1)} {{7*7}} javascript:alert(1)",
    "control": "a\u0000b\u001b[31mc\u0007\r\nd",
    "direction": "\u202egnimoc txet \u2066x\u200f",
    "emoji": "🚗💥👩‍👩‍👧‍👦" * 20,
    "long": "x" * 100_000,
    "zalgo": "Z\u0310\u0311\u0312\u0313" * 500,
    "proto": "__proto__",
}


def test_a_message_is_shown_in_its_row(server: FakeServer, open_page: OpenPage) -> None:
    page = open_page()
    expect_pill(page, LIVE)
    server.publish("LA_001", 61.23, current_speed=55.0, road_name="I-10 W Downtown")
    expect_value(page, "LA_001", "61.2")
    cells = row(page, "LA_001").locator("th, td").all_inner_texts()
    shown = [each.strip() for each in cells]
    assert shown[:4] == ["LA_001", "I-10 W Downtown", "55.0", "61.2"]
    assert shown[5:8] == ["+6.2", "", "Free flow"]  # no usual speed is known


def test_a_row_draws_its_last_predictions_as_a_line(server: FakeServer, open_page: OpenPage) -> None:
    page = open_page()
    for speed in (10.0, 20.0, 30.0):
        server.publish("A", speed)
        expect_value(page, "A", f"{speed:.1f}")
    points = row(page, "A").locator("[data-part=spark]").get_attribute("points") or ""
    heights = [float(point.split(",")[1]) for point in points.split()]
    assert len(heights) == 3
    assert heights == sorted(heights, reverse=True), "faster is higher"


def test_zero_is_a_speed_and_unmeasured_is_a_dash(server: FakeServer, open_page: OpenPage) -> None:
    server.publish("still", 0.0, current_speed=0.0)
    server.publish("unknown", 40.0, current_speed=None)
    page = open_page()
    expect_value(page, "still", "0.0")
    expect(row(page, "still").locator("[data-part=now]")).to_have_text("0.0")
    for name in ("now", "change"):
        cell = row(page, "unknown").locator(f"[data-part={name}]")
        expect(cell).to_have_text("\N{EN DASH}")
        expect(cell).to_have_attribute("title", "not measured")


def test_a_late_prediction_does_not_replace_a_newer_one(server: FakeServer, open_page: OpenPage) -> None:
    server.publish("A", 50.0)
    page = open_page()
    expect_value(page, "A", "50.0")
    server.publish("A", 10.0, late=True)
    server.publish("B", 20.0)
    expect_value(page, "B", "20.0")
    expect_value(page, "A", "50.0")


def test_a_segment_that_left_has_no_row(server: FakeServer, open_page: OpenPage) -> None:
    server.publish_all([prediction("A"), prediction("B")])
    page = open_page()
    expect(row(page, "A")).to_be_visible()
    server.remove("A")
    expect(row(page, "A")).to_have_count(0)
    expect(row(page, "B")).to_be_visible()


def test_chips_count_207_segments_by_category(server: FakeServer, open_page: OpenPage) -> None:
    sent = [prediction(f"S{number}", float(number * 37 % 75)) for number in range(207)]
    server.publish_all(sent)
    page = open_page()
    expect(part(page, "reporting")).to_have_text("207")
    assert counts(page) == {"not_current": 0} | Counter(each["category"] for each in sent)
    table = part(page, "table")
    expect(table).to_have_attribute("aria-rowcount", "208")


def test_silent_segments_become_stale_then_have_no_data(slow_heartbeat_server: FakeServer, watched: Watched) -> None:
    now = int(time.time() * 1000)
    ages = {"fresh": 0, "soon stale": 530_000, "soon silent": 1_430_000}
    slow_heartbeat_server.publish_all([prediction(name, timestamp=now - age) for name, age in ages.items()])
    page = watched.open(f"{slow_heartbeat_server.url}/predictions", with_clock=True)
    expect(part(page, "reporting")).to_have_text("2")
    page.clock.fast_forward(100_000)
    expect(row(page, "soon stale")).to_have_attribute("data-freshness", "stale")
    expect(row(page, "soon silent")).to_have_attribute("data-freshness", "silent")
    expect(part(page, "reporting")).to_have_text("1")
    expect(part(page, "total")).to_have_text("of 3 reporting")
    expect(row(page, "soon silent").locator("[data-part=age]")).to_have_text("no data, 25 min")
    expect(row(page, "fresh")).to_have_attribute("data-freshness", "fresh")
    assert counts(page)["not_current"] == 2


def test_replayed_data_is_aged_by_its_newest_event(server: FakeServer, open_page: OpenPage) -> None:
    event_time = 1_331_168_700_000  # 2012-03-08 01:05 UTC
    server.publish("old", source="replay", timestamp=event_time - 700_000)
    server.publish("new", source="replay", timestamp=event_time)
    page = open_page(timezone_id="America/Los_Angeles")
    expect(part(page, "replay")).to_contain_text("7 Mar 2012, 17:05")
    expect(row(page, "new")).to_have_attribute("data-freshness", "fresh")
    expect(row(page, "old")).to_have_attribute("data-freshness", "stale")


def test_refused_messages_are_counted_and_linked(server: FakeServer, open_page: OpenPage) -> None:
    server.publish("A")
    page = open_page()
    expect_value(page, "A", "50.0")
    expect(part(page, "quarantined")).to_be_hidden()
    server.publish_all([{"segment_id": 7}, prediction("A")])
    expect(part(page, "unreadable")).to_have_text("1 prediction could not be read by this page")
    server.sum_up(total=1, scores=None, quarantined=1234)
    link = page.get_by_role("link", name="1,234 messages refused")
    expect(link).to_have_attribute("href", "/api/quarantine")


def test_a_wrong_browser_clock_makes_nothing_stale(server: FakeServer, open_page: OpenPage) -> None:
    server.publish("A")
    page = open_page()
    page.clock.install(time=time.time() + 86_400)
    page.reload()
    expect(row(page, "A")).to_have_attribute("data-freshness", "fresh")


def test_an_empty_page_shows_how_to_send_test_events(server: FakeServer, open_page: OpenPage) -> None:
    page = open_page()
    expect(part(page, "noData")).to_be_visible()
    expect(part(page, "noData").locator("pre")).to_have_text("flask --app app send-test-events --count 10 --delay 3")
    server.publish("A")
    expect(part(page, "noData")).to_be_hidden()
    expect(row(page, "A")).to_be_visible()


def test_speeds_and_limits_in_kmh_have_their_unit(open_page: OpenPage, server: FakeServer) -> None:
    server.config = server.config | {"speed_unit": "kmh"}
    server.publish("A", 100.0)
    page = open_page()
    expect(page.locator("thead [data-unit]").first).to_have_text("km/h")
    expect(page.locator("button.chip").first).to_contain_text("≥ 96.6 km/h")


def test_hostile_strings_are_text_and_keep_the_layout(server: FakeServer, open_page: OpenPage) -> None:
    for name, text in HOSTILE.items():
        fields = ("road_name", "model", "producer_category", "source", "prediction_time", "target_time", "category")
        server.publish(f"{name} {text}"[:1_000], 44.0, **dict.fromkeys(fields, text))
    server.publish("__proto__", 44.0)
    server.announce("reconnecting", reason=HOSTILE["markup"])
    page = open_page()
    expect(part(page, "table")).to_have_attribute("aria-rowcount", str(len(HOSTILE) + 2))
    expect(part(page, "bannerText")).to_contain_text(HOSTILE["markup"])
    names = page.locator("tbody [data-part=segment]").all_text_contents()
    assert f"markup {HOSTILE['markup']}" in names
    assert "__proto__" in names
    assert page.locator("tbody img, tbody script, h1:has-text('owned')").count() == 0
    heights = page.locator("tbody tr[data-segment]").evaluate_all("rows => rows.map(row => row.offsetHeight)")
    assert set(heights) == {34}
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_a_title_with_markup_is_text(server: FakeServer, open_page: OpenPage) -> None:
    title = "</script><script>alert(1)</script>"
    server.config = server.config | {"title": title, "topic": title}
    page = open_page()
    expect(page.locator("h1")).to_have_text(title)
    expect_pill(page, LIVE)


def test_a_row_element_stays_with_its_segment(server: FakeServer, open_page: OpenPage) -> None:
    server.publish_all([prediction(f"S{number}") for number in range(10)])
    page = open_page("?sort=segment")
    row(page, "S4").evaluate("row => (row.marked = true)")
    server.publish_all([prediction(f"S{number}", 12.0) for number in range(10)])
    expect_value(page, "S4", "12.0")
    assert row(page, "S4").evaluate("row => row.marked") is True
    assert rows(page) == [f"S{number}" for number in range(10)]


def test_a_topic_of_unreadable_messages_is_not_called_empty(server: FakeServer, open_page: OpenPage) -> None:
    page = open_page()
    expect(part(page, "noData")).to_be_visible()
    said = "200 messages came, none could be read: no_segment 200; they have the fields id, <b>speed</b>"
    server.sum_up(total=0, scores=None, quarantined=200, warning=said)
    expect(part(page, "unreadTopic")).to_be_visible()
    expect(part(page, "unreadTopicText")).to_have_text(said)
    expect(part(page, "noData")).to_be_hidden()
    expect(part(page, "unreadTopic").get_by_role("link")).to_have_attribute("href", "/api/quarantine")
    server.publish("A")
    expect(part(page, "unreadTopic")).to_be_hidden()
    expect(row(page, "A")).to_be_visible()
