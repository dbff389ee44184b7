"""Filters and order of the table, by mouse and by keyboard."""

from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.fake_server import FakeServer, prediction
from tests.browser.look import expect_value, part, row, rows

COUNT_LIGHTS = """() => {
  const { animate } = Element.prototype;
  window.lights = 0;
  Element.prototype.animate = function (...given) {
    window.lights += 1;
    return animate.apply(this, given);
  };
}"""
STOP_TIME = "() => { window.at = performance.now(); performance.now = () => window.at; }"
SPEEDS = {"S1": 62.0, "S2": 50.0, "S3": 35.0, "S10": 12.0}


def publish(server: FakeServer) -> None:
    """Publish one segment of each category."""
    roads = {"S1": "I-10 W", "S2": "I-405 N", "S3": "I-405 S", "S10": "US-101 N"}
    server.publish_all([prediction(name, speed, road_name=roads[name]) for name, speed in SPEEDS.items()])


def test_a_search_filters_rows_after_a_reload_too(server: FakeServer, open_page: OpenPage) -> None:
    publish(server)
    page = open_page()
    expect(row(page, "S1")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("405")
    expect(row(page, "S1")).to_have_count(0)
    assert rows(page) == ["S3", "S2"]
    expect(part(page, "matches")).to_have_text("2 segments match")
    expect(part(page, "matchesSpoken")).to_have_text("2 segments match")
    server.publish("another 405")
    expect(part(page, "matches")).to_have_text("3 segments match")
    expect(part(page, "matchesSpoken")).to_have_text("2 segments match")
    server.remove("another 405")
    expect(part(page, "matches")).to_have_text("2 segments match")
    page.reload()
    expect(row(page, "S2")).to_be_visible()
    assert rows(page) == ["S3", "S2"]
    part(page, "search").focus()
    page.keyboard.press("Escape")
    expect(row(page, "S1")).to_be_visible()
    assert "?" not in page.url


def test_chips_filter_rows_by_keyboard_after_a_reload_too(server: FakeServer, open_page: OpenPage) -> None:
    publish(server)
    page = open_page()
    expect(row(page, "S1")).to_be_visible()
    chip = page.locator("button.chip[data-group=severe_congestion]")
    chip.focus()
    page.keyboard.press("Enter")
    expect(chip).to_have_attribute("aria-pressed", "true")
    expect(row(page, "S1")).to_have_count(0)
    assert rows(page) == ["S10"]
    page.locator("button.chip[data-group=free_flow]").press("Space")
    expect(row(page, "S1")).to_be_visible()
    page.reload()
    expect(row(page, "S10")).to_be_visible()
    assert rows(page) == ["S10", "S1"]
    expect(chip.locator("[data-part=count]")).to_have_text("1")


def test_filters_without_a_match_can_be_cleared(server: FakeServer, open_page: OpenPage) -> None:
    publish(server)
    page = open_page("?q=nowhere&category=free_flow")
    expect(part(page, "nothingMatches")).to_be_visible()
    part(page, "clearEmpty").click()
    expect(row(page, "S10")).to_be_visible()
    expect(part(page, "nothingMatches")).to_be_hidden()
    assert "?" not in page.url


def test_a_segment_appears_when_it_begins_to_match(server: FakeServer, open_page: OpenPage) -> None:
    publish(server)
    page = open_page("?category=severe_congestion")
    expect(row(page, "S10")).to_be_visible()
    server.publish("S1", 10.0)
    expect(row(page, "S1")).to_be_visible()
    server.publish("S10", 70.0)
    expect(row(page, "S10")).to_have_count(0)


def test_headers_sort_in_both_directions(server: FakeServer, open_page: OpenPage) -> None:
    publish(server)
    page = open_page()
    header = page.locator("th[data-column=predicted]")
    expect(header).to_be_visible()
    header.locator("button").focus()
    page.keyboard.press("Enter")
    expect(header).to_have_attribute("aria-sort", "ascending")
    assert rows(page) == ["S10", "S3", "S2", "S1"]
    page.keyboard.press("Enter")
    expect(header).to_have_attribute("aria-sort", "descending")
    assert rows(page) == ["S1", "S2", "S3", "S10"]
    assert page.url.endswith("?sort=-predicted")
    expect(page.locator("th[data-column=segment]")).not_to_have_attribute("aria-sort", "ascending")


def test_the_order_follows_the_values(server: FakeServer, open_page: OpenPage) -> None:
    publish(server)
    page = open_page("?sort=predicted")
    expect(row(page, "S10")).to_be_visible()
    server.publish("S10", 70.0)
    expect(page.locator("tbody tr[data-segment]").last).to_have_attribute("data-segment", "S10")


def test_only_visible_rows_are_in_the_document(server: FakeServer, open_page: OpenPage) -> None:
    server.publish_all([prediction(f"S{number:04d}") for number in range(2_000)])
    page = open_page()
    expect(part(page, "table")).to_have_attribute("aria-rowcount", "2001")
    assert len(rows(page)) < 60
    part(page, "scroller").focus()
    page.keyboard.press("End")
    expect(row(page, "S1999")).to_be_in_viewport()
    expect(row(page, "S1999")).to_have_attribute("aria-rowindex", "2001")
    assert len(rows(page)) < 60
    page.keyboard.press("Home")
    expect(row(page, "S0000")).to_be_in_viewport()


def test_a_new_value_is_highlighted_unless_values_are_too_frequent(server: FakeServer, open_page: OpenPage) -> None:
    server.publish("S1", 50.0)
    page = open_page("?sort=predicted")
    expect(row(page, "S1")).to_be_visible()
    page.evaluate(COUNT_LIGHTS)
    # Values come late on a busy machine, so the time between them is the test's; timers and frames go on.
    page.evaluate(STOP_TIME)
    page.evaluate("window.at += 3_000")
    for speed in range(51, 61):
        server.publish("S1", speed)
        expect_value(page, "S1", f"{speed}.0")
        page.evaluate("window.at += 100")
    assert page.evaluate("window.lights") == 1
