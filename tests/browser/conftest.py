"""Fixtures: a browser, the fake server, and pages that report errors and requests to other hosts.

Chromium is the system's (`apt-get install chromium-headless-shell`, or CHROMIUM_BIN names another); axe-core comes from
`npm ci`. The headless shell is Chromium without what no test sees: windows, profiles, extensions. A page takes half the
processor time there. Where it is missing, the whole Chromium is taken.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.fake_server import FakeServer
from tests.browser.watched import Watched

HERE = Path(__file__).resolve().parent
BINARIES = ("chromium-headless-shell", "chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

OpenPage = Callable[..., Page]
Figures = dict[str, str]

_figures = pytest.StashKey[Figures]()


def pytest_configure(config: pytest.Config) -> None:
    """Create the store of measured figures."""
    config.stash[_figures] = {}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the measured figures."""
    for name, value in config.stash[_figures].items():
        terminalreporter.write_line(f"measured: {name}: {value}")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options to update docs/, and to run at full length."""
    parser.addoption("--update-screenshots", action="store_true", help="update docs/page-*.png")
    parser.addoption(
        "--full-length", action="store_true", help="replay a whole day at 300x, and run at speed for 5 min"
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Collect nothing here unless this folder was named: the other tests need no browser."""
    asked = (Path(argument.partition("::")[0]).resolve() for argument in config.args)
    return None if any(path == HERE or HERE in path.parents for path in asked) else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that may take longer than others, so that no worker waits for one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("timeout") is None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Yield one Chromium for all tests."""
    binary = os.environ.get("CHROMIUM_BIN") or next(filter(None, map(shutil.which, BINARIES)), None)
    assert binary, "there is no Chromium: apt-get install chromium-headless-shell, or set CHROMIUM_BIN"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """Yield a running fake server."""
    server = FakeServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def slow_heartbeat_server() -> Iterator[FakeServer]:
    """Yield a server with an hour between heartbeats, so that no deadline passes when the clock jumps."""
    server = FakeServer(heartbeat_seconds=3600)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    """Yield an opener of pages that fails the test for errors and requests to other hosts."""
    watched = Watched(browser)
    yield watched
    watched.close()


@pytest.fixture
def open_page(server: FakeServer, watched: Watched) -> OpenPage:
    """Return the function that opens the page: open_page(query="?q=…", any option of a browser context)."""

    def open_it(query: str = "", **options: Any) -> Page:
        return watched.open(f"{server.url}/predictions{query}", **options)

    return open_it


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """Return the dictionary of measured figures, printed at the end of the run."""
    return request.config.stash[_figures]
