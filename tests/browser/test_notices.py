"""New alerts are in the title, and notified with a sound once the user has asked for it: in one tab, without frames."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.fake_server import FakeServer, prediction
from tests.browser.look import LIVE, expect_pill, part, violations
from tests.browser.watched import PHONE

TITLE = "Greenwave · live predictions"
FAKES = """
globalThis.shown = [];
globalThis.sounds = 0;
globalThis.Notification = class extends EventTarget {
  static get permission() { return localStorage.getItem("permission") ?? "default"; }
  static async requestPermission() {
    localStorage.setItem("permission", localStorage.getItem("answer") ?? "granted");
    return this.permission;
  }
  constructor(title, { body }) {
    super();
    shown.push({ title, body, notification: this });
  }
  close() {}
};
globalThis.AudioContext = class { // there may be no device
  currentTime = 0;
  constructor() { globalThis.audio = "running"; }
  async resume() { audio = "running"; }
  async suspend() { audio = "suspended"; }
};
const node = () => class extends EventTarget {
  gain = { setValueAtTime() {}, linearRampToValueAtTime() {} };
  frequency = { setValueAtTime() {} };
  connect() {}
  start() { sounds += 1; }
  stop() {}
};
globalThis.GainNode = node();
globalThis.OscillatorNode = node();
"""
HELD = "navigator.locks.query().then(({ held }) => held.length === 1)"
PENDING = "navigator.locks.query().then(({ pending }) => pending.length === 1)"
FORBIDDEN = """
navigator.locks.request = async () => { throw new DOMException("no", "SecurityError"); };
globalThis.BroadcastChannel = class { constructor() { throw new DOMException("no", "SecurityError"); } };
"""
NO_FRAMES = "globalThis.requestAnimationFrame = () => 0;"


@pytest.fixture
def page(open_page: OpenPage) -> Page:
    """Return a page that records notifications and sounds."""
    return opened(open_page(script=FAKES))


def opened(page: Page) -> Page:
    """Wait until a page takes choices and gets news."""
    expect(part(page, "notify")).to_be_visible()
    expect_pill(page, LIVE)
    return page


def reopened(page: Page) -> Page:
    page.reload()
    return opened(page)


def until(page: Page, condition: str) -> None:
    """Wait for a condition, also where there are no frames."""
    page.wait_for_function(f"() => {condition}", polling=100)


def turn_on(page: Page) -> None:
    part(page, "notify").press("Enter")
    expect(part(page, "notify")).to_have_attribute("aria-pressed", "true")
    until(page, HELD)


def drop(server: FakeServer, *names: str, to: float = 40.0) -> None:
    server.publish_all([prediction(name, to - at, current_speed=60.0) for at, name in enumerate(names)])


def expect_notices(page: Page, *titles: str) -> None:
    """Wait until these notifications were shown, and no others."""
    until(page, f"shown.length >= {len(titles)}")
    assert page.evaluate("shown.map(({ title }) => title)") == list(titles)


def test_new_alerts_are_counted_in_the_title(server: FakeServer, page: Page) -> None:
    expect(page).to_have_title(TITLE)
    drop(server, "A", "B", "C")
    expect(page).to_have_title(f"(3) {TITLE}")
    part(page, "alerts").get_by_role("button", name="Acknowledge A").click()
    expect(page).to_have_title(f"(2) {TITLE}")
    part(page, "acknowledgeAll").click()
    expect(page).to_have_title(TITLE)
    assert page.evaluate("[shown.length, sounds]") == [0, 0]


def test_a_notice_and_a_sound_come_once_asked_for(server: FakeServer, page: Page) -> None:
    drop(server, "before")
    reopened(page)
    assert page.evaluate("Notification.permission") == "default"
    turn_on(page)
    expect(part(page, "alertsSpoken")).to_have_text("New alerts are notified, with a sound")
    until(page, "sounds === 1")
    drop(server, "A", "B", "C", "D")
    expect_notices(page, "4 new alerts")
    lines = page.evaluate("shown[0].body").split("\n")
    assert lines[0].startswith("D: 23 mph drop expected: 60 mph now, 37 mph predicted")
    assert lines[3] == "and 1 more"
    until(page, "sounds === 2")
    page.evaluate("shown[0].notification.dispatchEvent(new Event('click'))")
    expect(part(page, "drawer")).to_contain_text("37.0 mph")


def test_the_choice_is_kept_and_can_be_undone(server: FakeServer, page: Page) -> None:
    turn_on(page)
    drop(server, "A")
    expect_notices(page, "1 new alert")
    reopened(page)
    expect(part(page, "notify")).to_have_attribute("aria-pressed", "true")
    expect(page).to_have_title(f"(1) {TITLE}")
    until(page, HELD)
    drop(server, "B")
    expect_notices(page, "1 new alert")
    assert page.evaluate("shown[0].body").startswith("B: ")
    assert page.evaluate("[sounds, globalThis.audio]") == [0, None], "nothing was pressed yet"
    page.keyboard.press("Shift")
    assert page.evaluate("audio") == "suspended", "it makes no sound yet"
    drop(server, "C")
    until(page, "sounds === 1 && audio === 'running'")
    part(page, "notify").click()
    expect(part(page, "alertsSpoken")).to_have_text("New alerts are not notified")
    reopened(page)
    expect(part(page, "notify")).to_have_attribute("aria-pressed", "false")


def test_where_the_browser_forbids_notices_there_is_a_sound(server: FakeServer, page: Page) -> None:
    page.evaluate("localStorage.setItem('answer', 'denied')")
    turn_on(page)
    expect(part(page, "notifyNote")).to_contain_text("Sound only: the browser does not let this page")
    drop(server, "A")
    until(page, "sounds === 2")
    assert page.evaluate("shown.length") == 0


def test_of_several_tabs_one_notifies(server: FakeServer, page: Page) -> None:
    turn_on(page)
    other = page.context.new_page()
    other.goto(page.url)
    expect(part(other, "notify")).to_be_visible()
    expect(part(other, "notify")).to_have_attribute("aria-pressed", "true")
    until(other, PENDING)
    drop(server, "A")
    for each in (page, other):
        expect(each).to_have_title(f"(1) {TITLE}")
    expect_notices(page, "1 new alert")
    page.close()
    until(other, f"{PENDING}.then((is) => !is)")
    expect_pill(other, LIVE)
    drop(server, "B")
    expect_notices(other, "1 new alert")
    assert other.evaluate("shown[0].body").startswith("B: ")


def test_a_tab_that_was_open_before_the_choice_sounds_too(server: FakeServer, page: Page) -> None:
    other = page.context.new_page()
    other.goto(page.url)
    expect(part(other, "notify")).to_be_visible()
    turn_on(page)
    expect(part(other, "notify")).to_have_attribute("aria-pressed", "true")
    until(other, PENDING)
    other.keyboard.press("Shift")  # browsers allow sound after any press
    page.close()
    until(other, f"{PENDING}.then((is) => !is)")
    expect_pill(other, LIVE)
    drop(server, "A")
    expect_notices(other, "1 new alert")
    until(other, "sounds === 1")


def test_where_the_browser_forbids_locks_a_tab_notifies(server: FakeServer, page: Page) -> None:
    page.context.add_init_script(FORBIDDEN)
    reopened(page)
    part(page, "notify").click()
    expect(part(page, "notify")).to_have_attribute("aria-pressed", "true")
    drop(server, "A")
    expect_notices(page, "1 new alert")


def test_a_tab_without_frames_notifies(server: FakeServer, page: Page) -> None:
    turn_on(page)
    page.context.add_init_script(NO_FRAMES)
    page.reload()
    expect(part(page, "notify")).to_be_visible()
    until(page, HELD)
    drop(server, "A")
    expect_notices(page, "1 new alert")
    expect(page).to_have_title(f"(1) {TITLE}")


OPTIONS = {"light": {"color_scheme": "light"}, "dark": {"color_scheme": "dark"}, "phone": {"viewport": PHONE}}


@pytest.mark.parametrize("kind", OPTIONS)
def test_axe_finds_nothing_in_the_alerts(server: FakeServer, open_page: OpenPage, kind: str) -> None:
    page = opened(open_page(script=FAKES, **OPTIONS[kind]))
    drop(server, *[f"S{number}" for number in range(12)])
    expect(part(page, "alertCount")).to_have_text("12 new")
    turn_on(page)
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
