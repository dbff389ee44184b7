"""The page of a road: travel times, the diagram over time and distance, and its table, by pointer and by keyboard."""

import re
import time
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.fake_server import FakeServer, prediction
from tests.browser.look import LIVE, expect_pill, part, violations
from tests.browser.watched import PHONE, Watched

MINUTE_MS = 60_000
KM_DEGREES = 1 / 111.2
ROAD = "/predictions/road/I-405+N"
PLACES = ("Carson", "Torrance", "Sunset")
IS_DRAWN = """([x, y, wanted]) => {
  const canvas = document.querySelector(".diagram canvas");
  const copy = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
  const ctx = copy.getContext("2d", { willReadFrequently: true });
  ctx.drawImage(canvas, 0, 0);
  const ratio = canvas.width / canvas.clientWidth;
  const found = ctx.getImageData(x * ratio, y * ratio, 1, 1).data;
  return wanted.every((each, at) => Math.abs(each - found[at]) <= 3);
}"""
FREE, HEAVY = [44, 123, 182], [253, 174, 97]


def publish(server: FakeServer, at_ms: int, now: tuple[float, ...], later: dict[int, tuple[float, ...]]) -> None:
    """Publish three segments of I-405 N, 1 km apart: measured speeds, and predicted ones by horizon."""
    server.publish_all(
        [
            prediction(
                f"N{number}",
                speeds[number],
                current_speed=now[number],
                horizon_minutes=horizon,
                timestamp=at_ms,
                road_name=f"I-405 N at {place}",
                coordinates={"latitude": 33.8 + number * KM_DEGREES, "longitude": -118.3},
            )
            for horizon, speeds in later.items()
            for number, place in enumerate(PLACES)
        ]
    )


def road_with_history(server: FakeServer) -> int:
    """Publish an hour in which the last segment slows down; return the newest time."""
    now = int(time.time() * 1000) - 1_000
    for minutes in range(60, -1, -5):
        last = 20.0 if minutes <= 30 else 60.0
        publish(server, now - minutes * MINUTE_MS, (60.0, 60.0, last), {15: (60.0, 30.0, 15.0), 30: (60.0, 60.0, 60.0)})
    server.publish("S", 60.0, road_name="I-405 S", horizon_minutes=15)
    return now


def open_road(server: FakeServer, watched: Watched, query: str = "", **options: Any) -> Page:
    return watched.open_road(f"{server.url}{ROAD}{query}", **options)


def times(page: Page) -> list[str]:
    """Return the travel times with their names."""
    return [each.strip() for each in page.locator(".road-time").all_inner_texts()]


def figure(page: Page, number: int, name: str) -> Any:
    return page.locator(".road-time").nth(number).locator(f"[data-part={name}]")


def test_travel_times_now_predicted_and_usual(server: FakeServer, watched: Watched) -> None:
    road_with_history(server)
    server.config["usual_timezone"] = "America/Los_Angeles"
    server.usual = {f"N{number}": {"low": 20.0, "median": 30.0, "high": 40.0, "count": 9} for number in range(3)}
    page = open_road(server, watched)
    # Each segment is 1 km, 0.62 miles: at 60 mph 0.62 minutes, at 20 mph 1.86.
    expect(figure(page, 0, "timeValue")).to_have_text("3.1 min")
    expect(figure(page, 0, "timeNote")).to_have_text("1.2 min delay against free flow, 0.6 min shorter than usual")
    expect(figure(page, 1, "timeName")).to_have_text(re.compile(r"^\+15 min · \d\d:\d\d$"))
    expect(figure(page, 1, "timeValue")).to_have_text("4.3 min")
    expect(figure(page, 1, "timeNote")).to_have_text("1.2 min longer than now")
    expect(figure(page, 2, "timeValue")).to_have_text("1.9 min")
    expect(figure(page, 3, "timeName")).to_have_text("Usual at this time")
    expect(figure(page, 3, "timeValue")).to_have_text("3.7 min")
    expect(part(page, "extent")).to_have_text("1.9 mi · 3 segments")
    jam = page.locator("[data-part=jams] > li")
    expect(jam).to_contain_text("I-405 N, Torrance → Sunset")
    mark = jam.locator("[data-part=jamCourseMark]").bounding_box()
    assert mark is not None, "it is growing"
    assert (mark["width"], mark["height"]) == (11, 11)


def test_a_travel_time_says_which_segments_it_lacks(server: FakeServer, watched: Watched) -> None:
    road_with_history(server)
    server.publish(
        "N3", 50.0, current_speed=None, horizon_minutes=15, road_name="I-405 N at Mulholland",
        coordinates={"latitude": 33.8 + 3 * KM_DEGREES, "longitude": -118.3},
    )  # fmt: skip
    page = open_road(server, watched)
    expect(figure(page, 0, "timeNote")).to_contain_text("Without 1 of 4 segments, no measured speed")
    expect(figure(page, 1, "timeNote")).not_to_contain_text("Without")


def test_new_predictions_are_shown_live_of_this_road_alone(server: FakeServer, watched: Watched) -> None:
    road_with_history(server)
    page = open_road(server, watched)
    expect_pill(page, LIVE)
    expect(page.locator("[data-part=segments] tr")).to_have_count(3)
    publish(server, int(time.time() * 1000), (60.0, 60.0, 60.0), {15: (30.0, 30.0, 30.0)})
    expect(figure(page, 0, "timeValue")).to_have_text("1.9 min")
    expect(figure(page, 1, "timeValue")).to_have_text("3.7 min")
    server.publish("S", 10.0, road_name="I-405 S", horizon_minutes=15)
    server.publish("T", 10.0, road_name="I-405 North", horizon_minutes=15)
    server.remove("N2")
    expect(page.locator("[data-part=segments] tr")).to_have_count(2)
    names = page.locator("[data-part=segments] tr").evaluate_all("rows => rows.map(row => row.dataset.segment)")
    assert names == ["N0", "N1"]


def test_the_diagram_has_the_past_and_the_forecast(server: FakeServer, watched: Watched) -> None:
    road_with_history(server)
    page = open_road(server, watched, "?hours=1")
    expect(part(page, "content")).to_have_attribute("data-past", "done")
    box = part(page, "diagramCanvas").bounding_box()
    assert box is not None
    left = round(min(150, 0.28 * box["width"]))
    width, height = box["width"] - left - 14, box["height"] - 48
    # An hour of past and half an hour of forecast; the last of three segments.
    at = {minutes: left + width * (60 + minutes) / 90 for minutes in (-50, -40, -10, 25)}
    last = 24 + height * 5 / 6
    for minutes, colour in ((-50, FREE), (-40, FREE), (25, FREE)):
        page.wait_for_function(IS_DRAWN, arg=[at[minutes], last, colour])
    page.mouse.move(box["x"] + at[-10], box["y"] + last)
    expect(part(page, "readout")).to_have_text(re.compile(r"^Sunset, 1\.2 mi: \d\d:\d\d, 20 mph measured$"))
    page.mouse.move(box["x"] + left + width * 67 / 90, box["y"] + 24 + height / 2)
    expect(part(page, "readout")).to_have_text(
        re.compile(r"^Torrance, 0\.6 mi: 30 mph predicted for \d\d:\d\d \(\+15 min\)$")
    )
    page.wait_for_function(IS_DRAWN, arg=[left + width * 70 / 90, 24 + height / 2 + 8, HEAVY])


def test_the_diagram_is_read_by_keyboard(server: FakeServer, watched: Watched) -> None:
    road_with_history(server)
    page = open_road(server, watched, "?hours=1")
    diagram = page.get_by_role("application")
    expect(diagram).to_have_attribute(
        "aria-label", re.compile(r"^Speeds on I-405 N from .*Slowest now: 20 mph, Sunset\.")
    )
    diagram.focus()
    page.keyboard.press("ArrowDown")
    expect(part(page, "readoutSpoken")).to_have_text(re.compile(r"^Carson, 0\.0 mi: \d\d:\d\d, 60 mph measured$"))
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    expect(part(page, "readoutSpoken")).to_have_text(re.compile(r"^Torrance, .*30 mph predicted .*\(\+15 min\)$"))
    page.keyboard.press("End")
    page.keyboard.press("ArrowDown")
    expect(part(page, "readoutSpoken")).to_have_text(re.compile(r"^Sunset, .*60 mph predicted .*\(\+30 min\)$"))
    page.keyboard.press("Escape")
    expect(part(page, "readout")).to_have_text(re.compile(r"^Point at the diagram"))


def test_the_hours_of_the_past_are_kept_in_the_address(server: FakeServer, watched: Watched) -> None:
    road_with_history(server)
    page = open_road(server, watched)
    page.get_by_label("Past").select_option("6")
    expect(page).to_have_url(re.compile(r"\?hours=6$"))
    expect(part(page, "pastNote")).to_have_text(
        re.compile(r"^Nothing earlier is known\. The diagram begins at \d\d:\d\d\.$")
    )
    page.reload()
    expect(page.get_by_label("Past")).to_have_value("6")


def test_a_jam_links_to_its_road_and_the_road_back(server: FakeServer, watched: Watched) -> None:
    road_with_history(server)
    page = watched.open(f"{server.url}/predictions")
    page.get_by_role("link", name="Road page of I-405 N").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("I-405 N")
    expect(page.locator(".road-time")).to_have_count(3)
    page.get_by_role("link", name="Sunset").click()
    expect(part(page, "drawer")).to_be_visible()
    page.go_back()
    page.get_by_role("link", name="I-405 S").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("I-405 S")
    page.get_by_role("link", name="Dashboard").click()
    expect(page).to_have_url(re.compile(r"/predictions\?road=I-405(%20|\+)S"))


def test_a_lost_server_is_said_and_values_are_kept(server: FakeServer, watched: Watched) -> None:
    watched.network_errors_expected = True
    road_with_history(server)
    page = open_road(server, watched)
    expect(figure(page, 0, "timeValue")).to_have_text("3.1 min")
    server.stop()
    expect(part(page, "bannerTitle")).to_have_text(re.compile("^No connection to the server"))
    expect(figure(page, 0, "timeValue")).to_have_text("3.1 min")


def test_the_past_is_loaded_again_with_a_new_view(server: FakeServer, watched: Watched) -> None:
    watched.network_errors_expected = True
    road_with_history(server)
    page = open_road(server, watched)
    expect(part(page, "content")).to_have_attribute("data-past", "done")
    # As after a restart of the server, which does not know the cursor.
    without = re.compile(r"after=[^&]*&?")
    page.route(re.compile("/predictions/stream"), lambda route: route.continue_(url=without.sub("", route.request.url)))
    with page.expect_request(re.compile(r"/api/predictions/history\?.*include=observations")):
        server.cut_streams()


def test_a_replay_shows_its_own_time(server: FakeServer, watched: Watched) -> None:
    begin = 1_331_082_300_000  # 2012-03-07, 01:05 UTC
    for minutes in range(0, 60, 5):
        publish_replayed(server, begin + minutes * MINUTE_MS)
    page = open_road(server, watched, "?hours=1", timezone_id="UTC")
    expect(part(page, "replayText")).to_have_text("Replay of 7 Mar 2012, 02:00 UTC")
    expect(figure(page, 1, "timeName")).to_have_text("+15 min · 02:15")
    expect(part(page, "diagram")).to_have_attribute("aria-label", re.compile(r"from 01:05 to 02:15"))


def test_the_usual_speeds_are_those_of_the_replayed_time(server: FakeServer, watched: Watched) -> None:
    begin = 1_331_082_000_000  # 2012-03-07, 01:00 UTC
    server.config["usual_timezone"] = "America/Los_Angeles"
    server.usual = {f"R{number}": {"low": 20.0, "median": 30.0, "high": 40.0, "count": 9} for number in range(2)}
    publish_replayed(server, begin)
    page = open_road(server, watched, timezone_id="UTC")
    expect(figure(page, 2, "timeName")).to_have_text("Usual at this time")
    for quarter in (1, 9):
        publish_replayed(server, begin + quarter * 15 * MINUTE_MS)
        expect(part(page, "replayText")).to_contain_text(f"{1 + quarter // 4:02}:15")
        expect(figure(page, 2, "timeValue")).to_have_text("2.5 min")
        page.wait_for_function(
            "at => performance.getEntriesByType('resource').some(({ name }) => name.endsWith(`/api/usual?at=${at}`))",
            arg=begin + quarter * 15 * MINUTE_MS,
        )


def publish_replayed(server: FakeServer, at_ms: int) -> None:
    server.publish_all(
        [
            prediction(
                f"R{number}", 30.0, horizon_minutes=15, timestamp=at_ms, road_name="I-405 N", source="replay",
                coordinates={"latitude": 33.8 + number * KM_DEGREES, "longitude": -118.3},
            )
            for number in range(2)
        ]
    )  # fmt: skip


@pytest.mark.parametrize(
    "options", [{}, {"color_scheme": "dark"}, {"viewport": PHONE}, {"forced_colors": "active"}], ids=str
)
def test_the_page_is_accessible_and_fits(server: FakeServer, watched: Watched, options: dict[str, Any]) -> None:
    road_with_history(server)
    page = open_road(server, watched, **options)
    expect(part(page, "content")).to_have_attribute("data-past", "done")
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_road_without_places_has_its_segments_in_a_table(server: FakeServer, watched: Watched) -> None:
    server.publish("<b>X</b>", 30.0, road_name="I-405 N")
    page = open_road(server, watched)
    expect(page.locator("[data-part=segments] tr")).to_contain_text("<b>X</b>")
    expect(figure(page, 0, "timeValue")).to_have_text("\N{EN DASH}")
    expect(figure(page, 0, "timeNote")).to_have_text("Without 1 of 1 segment, no known length")
