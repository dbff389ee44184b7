"""Pages that report uncaught errors, console errors, dialogs, and requests to other hosts."""

from typing import Any
from urllib.parse import urljoin, urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Request, expect

LIMIT_MS = 60_000
"""Limit of each wait. Only a failure takes so long, but the page's delays grow to tens of seconds on a slow machine."""

expect.set_options(timeout=LIMIT_MS)

DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}


class Watched:
    """Opens pages. With `network_errors_expected` it ignores what Chromium logs of an unreachable server."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self._host = ""
        self.network_errors_expected = False
        self.faults: list[str] = []

    def open(self, url: str, *, with_clock: bool = False, script: str = "", **options: Any) -> Page:
        """Open an address in a browser context of its own and wait until the page has drawn something.

        With `with_clock` its clock is `page.clock`, which goes on by itself and can be moved. `script` runs in each
        page of the context before the page's own.
        """
        page = self._new_page(url, options)
        if script:
            page.context.add_init_script(script)
        if with_clock:
            page.clock.install()
        page.goto(url, wait_until="domcontentloaded")
        expect(page.locator("[data-part=chips] button")).to_have_count(5)
        return page

    def open_plain(self, url: str, **options: Any) -> Page:
        """Open a page without scripts."""
        page = self._new_page(url, options)
        page.goto(url)
        return page

    def open_road(self, url: str, **options: Any) -> Page:
        """Open the page of a road and wait until it shows a travel time."""
        page = self._new_page(url, options)
        page.goto(url, wait_until="domcontentloaded")
        expect(page.locator(".road-time").first).to_be_visible()
        return page

    def open_frame(self, url: str, **options: Any) -> Page:
        """Open another page of the same host that shows an address in a frame."""
        page = self._new_page(url, options)
        around = f'<iframe width="600" height="400" src="{url}"></iframe>'
        page.route("**/around", lambda route: route.fulfill(content_type="text/html", body=around))
        page.goto(urljoin(url, "/around"), wait_until="domcontentloaded")
        return page

    def _new_page(self, url: str, options: dict[str, Any]) -> Page:
        self._host = urlsplit(url).netloc
        context = self._browser.new_context(**{"viewport": DESKTOP} | options)
        context.set_default_timeout(LIMIT_MS)
        self._contexts.append(context)
        page = context.new_page()
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.faults.append(f"uncaught: {error}"))
        page.on("dialog", self._dialog)
        page.on("request", self._request)
        return page

    def close(self) -> None:
        """Close all pages and fail for what they reported."""
        for context in self._contexts:
            context.close()
        assert not self.faults, "; ".join(self.faults)

    def _console(self, message: ConsoleMessage) -> None:
        is_network = message.text.startswith(("Failed to load resource", "WebSocket connection to"))
        if message.type in {"error", "warning"} and not (is_network and self.network_errors_expected):
            self.faults.append(f"console: {message.text}")

    def _dialog(self, dialog: Dialog) -> None:
        self.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _request(self, request: Request) -> None:
        if urlsplit(request.url).netloc != self._host:
            self.faults.append(f"foreign request: {request.url}")
