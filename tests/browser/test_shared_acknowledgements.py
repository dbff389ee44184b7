"""Acknowledgements that all who watch share: on the page, who has seen an alert, a note, and undo."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.fake_server import FakeServer, prediction
from tests.browser.look import part
from tests.browser.watched import Watched


@pytest.fixture
def sharing() -> Iterator[FakeServer]:
    """Yield a server that shares acknowledgements, with an alert of A and two of a road."""
    server = FakeServer(shares_acknowledgements=True)
    server.start()
    server.publish("A", 20.0, current_speed=60.0)
    server.publish_all(
        [prediction(each, 30.0, current_speed=60.0, road_name=f"I-5 N at {each}") for each in ("X", "Y")]
    )
    yield server
    server.stop()


def opened(watched: Watched, server: FakeServer) -> Page:
    page = watched.open(f"{server.url}/predictions")
    expect(part(page, "alertCount")).to_have_text("3 new")
    return page


def alert(page: Page, text: str) -> Locator:
    return part(page, "alerts").locator("> li", has_text=text)


def seen(entry: Locator) -> Locator:
    """Return the line that says who has seen an alert."""
    return entry.locator("[data-part=alertSeen]").first


def name_it(page: Page, name: str, note: str = "") -> None:
    """Fill in the dialog, and confirm it by the keyboard."""
    expect(part(page, "wordsDialog")).to_be_visible()
    part(page, "wordsName").fill(name)
    part(page, "wordsNote").fill(note)
    page.keyboard.press("Enter")
    expect(part(page, "wordsDialog")).to_be_hidden()


def test_a_name_is_asked_for_once_and_all_see_who_has_seen_an_alert(sharing: FakeServer, watched: Watched) -> None:
    page, other = opened(watched, sharing), opened(watched, sharing)
    alert(page, "I-5 N").get_by_role("button", name="Acknowledge").click()
    name_it(page, "Ann", "crew sent")
    for each in (page, other):
        expect(part(each, "alertCount")).to_have_text("1 new, 3 total", timeout=60_000)
        expect(seen(alert(each, "I-5 N"))).to_contain_text("Ann, ")
        expect(seen(alert(each, "I-5 N"))).to_contain_text("crew sent")
    alert(page, "20 mph").get_by_role("button", name="Acknowledge").click()
    expect(part(page, "alertCount")).to_have_text("0 new, 3 total")
    expect(part(page, "wordsDialog")).to_be_hidden()
    other.reload()
    expect(part(other, "alertCount")).to_have_text("0 new, 3 total", timeout=60_000)


def test_undo_and_notes_are_buttons_of_the_alert(sharing: FakeServer, watched: Watched) -> None:
    page = opened(watched, sharing)
    own = alert(page, "20 mph")
    own.get_by_role("button", name="Acknowledge").click()
    name_it(page, "Ann")
    own.get_by_role("button", name="Note on A").click()
    expect(part(page, "wordsName")).to_have_value("Ann")
    part(page, "wordsNote").fill("<b>an accident</b>")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(own).to_contain_text("<b>an accident</b>")
    own.get_by_role("button", name="Undo the acknowledgement of A").click()
    expect(part(page, "alertCount")).to_have_text("3 new")
    expect(own.get_by_role("button", name="Acknowledge")).to_be_visible()
    assert page.evaluate("document.activeElement.dataset.part") == "alertsTitle"


def test_nothing_is_acknowledged_when_the_dialog_is_cancelled(sharing: FakeServer, watched: Watched) -> None:
    page = opened(watched, sharing)
    for action in (lambda: page.keyboard.press("Escape"), lambda: page.get_by_role("button", name="Cancel").click()):
        part(page, "acknowledgeAll").click()
        expect(part(page, "wordsDialog")).to_be_visible()
        action()
        expect(part(page, "wordsDialog")).to_be_hidden()
    expect(part(page, "alertCount")).to_have_text("3 new")
    assert sharing.acknowledged == []


def test_keys_of_the_page_rest_while_the_dialog_is_open(sharing: FakeServer, watched: Watched) -> None:
    page = opened(watched, sharing)
    part(page, "acknowledgeAll").click()
    part(page, "wordsCancel").focus()
    for key in ("?", "Shift+Tab"):
        page.keyboard.press(key)
    expect(part(page, "helpDialog")).to_be_hidden()
    expect(part(page, "wordsDialog")).to_be_visible()


def test_a_token_says_who_it_is(sharing: FakeServer, watched: Watched) -> None:
    sharing.config["user"] = "desk-2"
    page = opened(watched, sharing)
    part(page, "acknowledgeAll").click()
    expect(part(page, "alertCount")).to_have_text("0 new, 3 total")
    expect(seen(alert(page, "20 mph"))).to_contain_text("desk-2, ")
    alert(page, "20 mph").get_by_role("button", name="Note on A").click()
    expect(part(page, "wordsNameField")).to_be_hidden()


def test_a_change_that_is_not_kept_is_said(sharing: FakeServer, watched: Watched) -> None:
    sharing.config["user"] = "desk-2"
    page = opened(watched, sharing)
    page.route("**/api/acknowledgements", lambda route: route.abort())
    watched.network_errors_expected = True
    part(page, "acknowledgeAll").click()
    expect(part(page, "acknowledgeError")).to_have_text("Not kept: the server can't be reached")
    expect(part(page, "alertCount")).to_have_text("3 new")
