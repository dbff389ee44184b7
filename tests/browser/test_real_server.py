"""The page on gunicorn and the embedded broker."""

import os
import ssl
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from cli.publish import Publisher
from consumer.settings import Settings
from demo.broker import EmbeddedBroker, free_port
from demo.child import Child
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
from tests.browser.test_marks import expect_colour
from tests.browser.watched import Watched
from tests.web.server.certificate import certificate, trusting

ROOT = Path(__file__).resolve().parents[2]


class RealServer:
    """gunicorn as it is deployed, on a loopback port; with `tls` it has a certificate that signs itself."""

    def __init__(self, brokers: str, log: Path, *, tls: bool = False, **settings: str) -> None:
        self._address = f"{'https' if tls else 'http'}://127.0.0.1:{free_port()}"
        self._log = log
        self._child: Child | None = None
        given = {"KAFKA_BROKERS": brokers, "KAFKA_FETCH_MAX_WAIT_MS": "50", "BIND": "127.0.0.1"}
        self._env = os.environ | given | {"PORT": self._address.rpartition(":")[2]} | settings
        self._verify: ssl.SSLContext | bool = True
        if tls:
            certfile, keyfile = certificate(log.parent)
            self._env["GUNICORN_CMD_ARGS"] = f"--certfile={certfile} --keyfile={keyfile}"
            self._verify = trusting(certfile)

    @property
    def url(self) -> str:
        """Where the page is, in the order of names, so that the first rows are always the same."""
        return f"{self._address}/predictions?sort=segment"

    def start(self) -> None:
        """Start it and wait until it is ready."""
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "gunicorn", "wsgi:app"]
            self._child = Child(command, env=self._env, cwd=ROOT, log=log)
        deadline = time.monotonic() + 60
        while not self._is_ready():
            assert self._child.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill master and workers, as a crash would."""
        assert self._child is not None
        self._child.kill()
        self._child.stop()
        self._child = None

    def stop(self) -> None:
        """End it."""
        if self._child is not None:
            self._child.stop()

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self._address}/readyz", verify=self._verify).status_code == 200
        except httpx.TransportError:
            return False


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    """Yield one broker for the module."""
    with EmbeddedBroker(partitions=4) as broker:
        yield broker


@pytest.fixture
def publisher(broker: EmbeddedBroker) -> Iterator[Publisher]:
    """Yield its publisher."""
    with Publisher(Settings(kafka_brokers=broker.address)) as publisher:
        yield publisher


@pytest.fixture
def real_server(broker: EmbeddedBroker, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[RealServer]:
    """Yield a running server; indirect parameters are more settings."""
    server = RealServer(broker.address, tmp_path / "gunicorn.log", **getattr(request, "param", {}))
    server.start()
    yield server
    server.stop()


def message(segment_id: str, predicted_speed: float, **fields: Any) -> dict[str, Any]:
    """Return a message as producers send it."""
    now = int(time.time() * 1000)
    return {"segment_id": segment_id, "timestamp": now, "predicted_speed": predicted_speed, **fields}


def test_a_kafka_message_is_shown_in_table_and_map(
    real_server: RealServer, publisher: Publisher, watched: Watched
) -> None:
    page = watched.open(real_server.url)
    expect_pill(page, LIVE)
    place = {"latitude": 34.05, "longitude": -118.25}
    publisher.publish("LA_001", message("LA_001", 61.5, current_speed=55, road_name="I-10 Downtown", coordinates=place))
    expect_value(page, "LA_001", "61.5")
    expect_colour(page, 0, "free_flow")
    expect(row(page, "LA_001").locator("[data-part=category]")).to_have_text("Free flow")
    publisher.publish("LA_001", message("LA_001", 0, current_speed=0, coordinates=place))
    expect_value(page, "LA_001", "0.0")
    expect_colour(page, 0, "severe_congestion")


@pytest.mark.parametrize("real_server", [{}, {"tls": True}], ids=["handed over", "copied"], indirect=True)
def test_a_server_crash_loses_and_repeats_nothing(
    real_server: RealServer, publisher: Publisher, watched: Watched
) -> None:
    watched.network_errors_expected = True
    page = watched.open(real_server.url, ignore_https_errors=True)
    expect_pill(page, LIVE)
    for number in range(40):
        publisher.send(f"S{number}", message(f"S{number}", 50.0))
    publisher.flush()
    expect_received(page, 40)
    real_server.kill()
    expect_pill(page, RECONNECTING)
    assert "Live" not in page.locator("body").inner_text()
    expect_value(page, "S0", "50.0")
    for number in range(40):
        publisher.send(f"S{number}", message(f"S{number}", 20.0 + number))
    publisher.flush()
    real_server.start()
    expect_pill(page, LIVE)
    expect_value(page, "S0", "20.0")
    expect_value(page, "S1", "21.0")
    publisher.publish("end", message("end", 33.0))
    expect_value(page, "end", "33.0")
    expect_received(page, 81)
    expect(part(page, "notice")).to_be_hidden()


def test_polling_gives_the_same_when_streams_are_blocked(
    real_server: RealServer, publisher: Publisher, watched: Watched
) -> None:
    watched.network_errors_expected = True
    publisher.publish("P", message("P", 40.0))
    page = watched.open(real_server.url)
    expect_pill(page, LIVE)
    page.route("**/predictions/stream*", lambda route: route.abort())
    page.route_web_socket("**/predictions/ws*", lambda socket: socket.close())
    page.reload()
    expect_pill(page, POLLING)
    expect_value(page, "P", "40.0")
    publisher.publish("P", message("P", 41.0))
    expect_value(page, "P", "41.0")
    page.unroute("**/predictions/stream*")
    expect_pill(page, LIVE)
    publisher.publish("P", message("P", 42.0))
    expect_value(page, "P", "42.0")
    expect_received(page, 2)


def test_a_websocket_gives_the_same_when_streams_are_blocked(
    real_server: RealServer, publisher: Publisher, watched: Watched
) -> None:
    watched.network_errors_expected = True
    publisher.publish("0-W", message("0-W", 40.0))
    page = watched.open(real_server.url)
    expect_pill(page, LIVE)
    page.route("**/predictions/stream*", lambda route: route.abort())
    page.reload()
    expect_pill(page, BY_SOCKET)
    expect_value(page, "0-W", "40.0")
    publisher.publish("0-W", message("0-W", 41.0))
    expect_value(page, "0-W", "41.0")
    page.unroute("**/predictions/stream*")
    expect_pill(page, LIVE)
    publisher.publish("0-W", message("0-W", 42.0))
    expect_value(page, "0-W", "42.0")
    expect_received(page, 2)


@pytest.mark.parametrize("real_server", [{"MAX_STREAMS": "2"}], indirect=True)
def test_a_page_polls_when_all_streams_are_taken(
    real_server: RealServer, publisher: Publisher, watched: Watched
) -> None:
    pages = []
    for state in (LIVE, LIVE, POLLING):  # one after the other: which of several gets a stream is open
        pages.append(watched.open(real_server.url))
        expect_pill(pages[-1], state)
    publisher.publish("Q", message("Q", 44.0))
    expect_value(pages[0], "Q", "44.0")
    expect_value(pages[2], "Q", "44.0")
