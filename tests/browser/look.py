"""Access to the page: its parts by name, its rows by segment."""

import re
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, expect

AXE = Path(__file__).resolve().parents[2] / "node_modules" / "axe-core" / "axe.min.js"

LIVE = re.compile(r"^Live · SSE · ")
BY_SOCKET = re.compile(r"^Live · WebSocket · ")
POLLING = re.compile(r"^Polling every 5 s$")
RECONNECTING = re.compile(r"^Retrying in \d+ s \(attempt \d+\)$")


def part(page: Page, name: str) -> Locator:
    """Return a part of the page by its data-part."""
    return page.locator(f"[data-part={name}]").first


def row(page: Page, segment_id: str) -> Locator:
    """Return the row of a segment."""
    return page.locator(f'tbody tr[data-segment="{segment_id}"]')


def rows(page: Page) -> list[str]:
    """Return the segments of the rows in the document, in their order, as soon as there is one."""
    present = page.locator("tbody tr[data-segment]")
    present.first.wait_for(state="attached")
    found = present.evaluate_all("rows => rows.map(row => row.dataset.segment)")
    return [str(each) for each in found]


def expect_pill(page: Page, text: re.Pattern[str]) -> None:
    """Wait until the pill has a text."""
    expect(part(page, "pillText")).to_have_text(text)


def expect_value(page: Page, segment_id: str, predicted: str) -> None:
    """Wait until a segment's row shows a predicted speed."""
    expect(row(page, segment_id).locator("[data-part=predicted]")).to_have_text(predicted)


def expect_received(page: Page, count: int) -> None:
    """Wait until the page has received a number of predictions one by one."""
    expect(part(page, "perMinute")).to_have_attribute("data-received", str(count))


def counts(page: Page) -> dict[str, int]:
    """Return the counts on the chips by group."""
    script = "chips => chips.map(chip => [chip.dataset.group, chip.querySelector('[data-part=count]').textContent])"
    return {group: int(text.replace(",", "")) for group, text in page.locator("button.chip").evaluate_all(script)}


def violations(page: Page) -> list[dict[str, Any]]:
    """Return the violations that axe finds, in short."""
    assert AXE.exists(), "axe-core is missing: npm ci"
    page.evaluate(AXE.read_text())
    found: list[dict[str, Any]] = page.evaluate("axe.run().then(result => result.violations)")
    return [{"id": each["id"], "nodes": [node["html"][:200] for node in each["nodes"]]} for each in found]
