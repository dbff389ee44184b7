"""The connection of the page: transports, outages, gaps, states."""

import re
import time

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.fake_server import FakeServer, prediction
from tests.browser.look import (
    BY_SOCKET,
    LIVE,
    POLLING,
    RECONNECTING,
    expect_pill,
    expect_received,
    expect_value,
    part,
    row,
)
from tests.browser.watched import Watched


def assert_each_came_once(server: FakeServer, page: Page, after: int = 0) -> None:
    """Check that the server sent each message of its log once, over any transport."""
    expected = [index for index, each in enumerate(server.log) if each["type"] == "prediction" and index >= after]
    assert [index for _, index in server.delivered if index >= after] == expected
    expect_received(page, len(expected))


def test_the_page_opens_one_stream(server: FakeServer, open_page: OpenPage) -> None:
    page = open_page()
    expect_pill(page, LIVE)
    server.publish("A", 33.0)
    expect_value(page, "A", "33.0")
    assert (server.open_streams, server.streams_asked, server.polls) == (1, 1, 0)


@pytest.mark.parametrize("mode", ["refused", "hanging"])
def test_a_blocked_stream_falls_back_to_polling(
    server: FakeServer, open_page: OpenPage, watched: Watched, mode: str
) -> None:
    watched.network_errors_expected = True
    server.mode = mode
    server.publish("A", 40.0)
    page = open_page()
    expect_pill(page, POLLING)
    expect_value(page, "A", "40.0")
    server.publish("A", 41.0)
    expect_value(page, "A", "41.0")
    # The server notices the end of a hanging stream after the WebSocket was opened.
    assert server.most_streams <= (1 if mode == "refused" else 2)


def test_a_blocked_stream_falls_back_to_websocket_at_the_same_cursor(
    server: FakeServer, open_page: OpenPage, watched: Watched
) -> None:
    watched.network_errors_expected = True
    server.mode = "no_sse"
    page = open_page()
    expect_pill(page, BY_SOCKET)
    server.publish_all([prediction(f"S{number}", 20.0 + number) for number in range(5)])
    expect_value(page, "S4", "24.0")
    assert (server.open_streams, server.polls) == (1, 0)
    server.mode = "ok"
    expect_pill(page, LIVE)
    server.publish("S0", 11.0)
    expect_value(page, "S0", "11.0")
    expect_received(page, 6)
    server.wait_for_streams(1)


def test_tabs_share_one_stream_and_take_it_over(server: FakeServer, open_page: OpenPage) -> None:
    first = open_page()
    expect_pill(first, LIVE)
    server.publish("A", 31.0)
    others = [first.context.new_page() for _ in range(2)]
    for page in others:
        page.goto(first.url)
        expect_value(page, "A", "31.0")
        expect_pill(page, LIVE)
    server.publish("A", 32.0)
    for page in (first, *others):
        expect_value(page, "A", "32.0")
    server.wait_for_streams(1)  # on a busy machine a tab that gets no answer at once has one for a moment
    first.close()
    server.publish("A", 33.0)
    for page in others:
        expect_value(page, "A", "33.0")
    server.wait_for_streams(1)


def test_an_upgrade_to_the_stream_loses_and_repeats_nothing(
    server: FakeServer, open_page: OpenPage, watched: Watched
) -> None:
    watched.network_errors_expected = True
    server.mode = "refused"
    page = open_page()
    expect_pill(page, POLLING)
    server.publish_all([prediction(f"S{number}") for number in range(5)])
    expect(row(page, "S4")).to_be_visible()
    server.publish("S0", 21.0)
    server.mode = "ok"
    expect_pill(page, LIVE)
    server.publish("S1", 22.0)
    expect_value(page, "S1", "22.0")
    expect_value(page, "S0", "21.0")
    assert_each_came_once(server, page)
    server.wait_for_streams(1)


def test_a_server_outage_loses_and_repeats_nothing(server: FakeServer, open_page: OpenPage, watched: Watched) -> None:
    watched.network_errors_expected = True
    page = open_page()
    expect_pill(page, LIVE)
    server.publish_all([prediction(f"S{number}", 50.0 + number, current_speed=70.0) for number in range(5)])
    expect_value(page, "S4", "54.0")
    expect(part(page, "alerts")).to_contain_text("70 mph now, 50 mph predicted")
    expect(part(page, "spoken")).to_have_text("Live")
    server.stop()
    expect_pill(page, RECONNECTING)
    expect(part(page, "banner")).to_contain_text("No connection to the server")
    expect(part(page, "retry")).to_be_visible()
    assert "Live" not in page.locator("body").inner_text()
    assert page.locator("body").get_attribute("data-kept") is not None
    expect_value(page, "S4", "54.0")
    assert_looks_outdated(page)
    server.publish_all([prediction(f"S{number}", 20.0 + number) for number in range(5)])
    server.start()
    expect_pill(page, LIVE)
    expect_value(page, "S4", "24.0")
    server.publish("S9", 9.0)
    expect_value(page, "S9", "9.0")
    assert_each_came_once(server, page)
    expect(part(page, "banner")).to_be_hidden()
    assert page.locator("body").get_attribute("data-kept") is None


def assert_looks_outdated(page: Page) -> None:
    """Check that rows, chips and map have no category colours, and the total has its time."""
    expect(part(page, "total")).to_have_text(re.compile(r"^of 5 reporting at \d\d:\d\d$"))
    expect(part(page, "reporting")).to_have_text("5")
    expect(row(page, "S4").locator(".category .shape")).to_have_css("fill", re.compile("hatch"))
    assert "(offline)" in row(page, "S4").locator("[data-part=category]").evaluate(
        "element => getComputedStyle(element, '::after').content"
    )
    expect(part(page, "alerts")).to_contain_text("70 mph last, 50 mph predicted")
    expect(page.locator("button.chip .shape").first).to_have_css("fill", re.compile("hatch"))
    expect(part(page, "map").locator("canvas").last).to_have_css("filter", "grayscale(1) contrast(0.4)")


def test_retry_now_does_not_wait_for_the_countdown(server: FakeServer, open_page: OpenPage, watched: Watched) -> None:
    watched.network_errors_expected = True
    page = open_page(with_clock=True)
    expect_pill(page, LIVE)
    server.stop()
    expect_pill(page, RECONNECTING)
    page.clock.pause_at(page.evaluate("Date.now() + 10"))
    server.start()
    part(page, "retry").dispatch_event("click")
    server.wait_for_streams(1)
    page.clock.resume()
    expect_pill(page, LIVE)
    expect(part(page, "retry")).to_be_hidden()


def test_a_stream_without_heartbeats_is_closed(server: FakeServer, open_page: OpenPage) -> None:
    server.config = server.config | {"heartbeat_seconds": 1}
    page = open_page()
    expect_pill(page, LIVE)
    server.mode = "silent"
    server.publish("A", 31.0)
    # Stream and WebSocket are silent for two heartbeats each, so the data comes by polling.
    expect_value(page, "A", "31.0")
    expect_received(page, 1)


def test_a_quiet_stream_with_heartbeats_is_kept(server: FakeServer, open_page: OpenPage) -> None:
    server.config = server.config | {"heartbeat_seconds": 3}
    page = open_page()
    server.wait_for_streams(1)
    expect_pill(page, re.compile(r"no data yet"))
    page.wait_for_function("() => performance.now() > 8000")  # two heartbeats that are missed would be 6 s
    assert server.streams_asked == 1


def test_a_busy_server_is_polled_until_its_retry_time(server: FakeServer, open_page: OpenPage) -> None:
    server.mode = "busy"
    server.publish("A", 40.0)
    began = time.monotonic()
    page = open_page()
    expect_pill(page, POLLING)
    expect_value(page, "A", "40.0")
    server.mode = "ok"
    expect_pill(page, LIVE)
    assert 2 <= server.streams_asked <= 1 + (time.monotonic() - began) / 3, "it waits for 3 s each time"


@pytest.mark.parametrize("mode", ["ok", "busy"])
def test_a_gap_is_shown_and_the_new_view_replaces_the_old(server: FakeServer, open_page: OpenPage, mode: str) -> None:
    server.mode = mode
    server.publish_all([prediction("A"), prediction("B")])
    page = open_page()
    expect(row(page, "A")).to_be_visible()
    server.gap("too_old", 84, [prediction("B", 12.0), prediction("C", 13.0)])
    expect(part(page, "notice")).to_contain_text("84 predictions missed")
    expect_value(page, "C", "13.0")
    expect_value(page, "B", "12.0")
    expect(row(page, "A")).to_have_count(0)
    part(page, "dismiss").click()
    expect(part(page, "notice")).to_be_hidden()


@pytest.mark.parametrize("mode", ["ok", "busy"])
def test_without_kafka_data_is_marked_as_not_live(server: FakeServer, open_page: OpenPage, mode: str) -> None:
    server.mode = mode
    server.publish("A", 40.0)
    page = open_page()
    expect_value(page, "A", "40.0")
    server.announce("circuit_open", "no answer from the broker for 6 s", 5)
    expect_pill(page, re.compile(r"^Kafka unreachable · "))
    expect(part(page, "banner")).to_contain_text("no answer from the broker for 6 s")
    assert page.locator("body").get_attribute("data-kept") is not None
    assert "Live ·" not in page.locator("body").inner_text()
    expect_value(page, "A", "40.0")
    server.announce("live")
    expect(part(page, "banner")).to_be_hidden()


def test_last_known_values_stay_in_a_long_outage(slow_heartbeat_server: FakeServer, watched: Watched) -> None:
    server = slow_heartbeat_server
    for name in ("A", "B"):
        server.publish(name, 50.0, current_speed=20.0, road_name="I-405 N", horizon_minutes=15)
    view = {"width": 1024, "height": 768}
    page = watched.open(f"{server.url}/predictions?horizon=15", with_clock=True, viewport=view)
    expect(part(page, "jams").locator("li")).to_have_count(1)
    server.announce("circuit_open", "no answer from the broker for 6 s", 5)
    expect(part(page, "banner")).to_contain_text("Showing the last known values")
    page.clock.fast_forward(3_000_000)
    expect(row(page, "A").locator("[data-part=age]")).to_have_text(re.compile(r"^5\d min$"))
    expect(part(page, "jams").locator("li")).to_have_count(1)
    expect(part(page, "reporting")).to_have_text("2")
    cell = row(page, "A").locator(".category")
    expect(cell).to_have_text("Moderate")
    assert cell.evaluate("cell => cell.scrollWidth <= cell.clientWidth")


def test_only_changes_of_the_connection_are_announced(
    server: FakeServer, open_page: OpenPage, watched: Watched
) -> None:
    watched.network_errors_expected = True
    page = open_page()
    spoken = part(page, "spoken")
    expect(spoken).to_have_text("Live")
    page.evaluate(
        """() => {
          window.said = [];
          const watch = new MutationObserver(() => window.said.push(
            document.querySelector("[data-part=spoken]").textContent));
          watch.observe(document.querySelector("[data-part=spoken]"), { childList: true, characterData: true,
            subtree: true });
        }"""
    )
    for number in range(5):
        server.publish("A", float(number))
        expect_value(page, "A", f"{number}.0")
    server.stop()
    expect(spoken).to_have_text("Connection lost, reconnecting")
    expect_pill(page, re.compile(r"\(attempt 3\)"))
    server.start()
    expect(spoken).to_have_text("Live")
    # Removing a text is not announced.
    assert [said for said in page.evaluate("window.said") if said] == ["Connection lost, reconnecting", "Live"]


def test_a_missing_topic_is_shown_as_a_warning(server: FakeServer, open_page: OpenPage) -> None:
    reason = "topic traffic-predictions does not exist, or may not be seen"
    server.status = {"state": "starting", "since": "2026-01-01T00:00:00Z", "reason": reason, "retry_in": None}
    page = open_page()
    expect(part(page, "banner")).to_contain_text(f"Reason: {reason}.")
    expect(part(page, "banner")).to_have_attribute("data-kind", "warn")
    expect_pill(page, re.compile("^Waiting for Kafka"))
    expect(part(page, "pill")).to_have_attribute("data-tone", "warn")
    expect(part(page, "noData")).to_be_hidden()
    expect(part(page, "loading")).to_contain_text("Connected, the server is waiting for Kafka")
    server.announce("live")
    expect_pill(page, LIVE)
    expect(part(page, "noData")).to_be_visible()
    expect(part(page, "banner")).to_be_hidden()


def test_old_data_is_shown_with_its_age(server: FakeServer, open_page: OpenPage) -> None:
    server.publish("A", timestamp=int(time.time() * 1000) - 4 * 3_600_000)
    page = open_page()
    expect_pill(page, re.compile("^Live · SSE · newest data 4 h old$"))
    server.publish("A")
    expect_pill(page, re.compile(r"^Live · SSE · \d\.\d s ago$"))
