"""The Python client: the scenarios that all clients pass, and what only it has."""

import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import pytest
from greenwave_client import Client, Refused, State
from greenwave_client.messages import EventStreamReader
from greenwave_client.state import backoff

from tests.clients.fake_server import FakeServer
from tests.clients.run import SCENARIOS, Event, Json, run


class ProgramError(Exception):
    """Thrown by the code around a client."""


class InThread:
    """A client whose messages and states are reported by a thread."""

    def __init__(self, url: str, options: Json, report: Callable[[Event], None]) -> None:
        given = dict(options)
        self._report = report
        self._throws_at = [*given.pop("throws_at", [])]
        if tokens := given.pop("tokens", None):
            given["token"] = token_function(tokens)
        self._client = Client(url, **given, on_state=self._on_state)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _on_state(self, state: State) -> None:
        self._report({"state": asdict(state)})
        if state.retry_seconds is not None and state.retry_seconds > 0.2:
            self._client.retry_now()  # so that tests are quick
        self._throw_at(state.phase)

    def _throw_at(self, place: str) -> None:
        if place in self._throws_at:
            self._throws_at.remove(place)
            raise ProgramError(place)

    def _read(self) -> None:
        try:
            for message in self._client:
                self._report({"message": message, "cursor": self._client.cursor})
                self._throw_at(message.get("data", {}).get("segment_id", ""))
        except Refused:
            pass  # its state has the text
        except ProgramError as error:
            self._report({"uncaught": str(error)})
            self._read()  # as a program that goes on

    def stop(self) -> None:
        """Close the client, and wait for its thread."""
        self._client.close()
        self._thread.join(60)
        assert not self._thread.is_alive()


def token_function(tokens: list[str]) -> Callable[[], str | None]:
    """Return a function that gives one after the other, and then the last one."""
    given = iter(tokens)

    def token() -> str | None:
        each = next(given, tokens[-1])
        if each == "throws":
            raise OSError("no network")
        return None if each == "nothing" else each

    return token


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[each["name"] for each in SCENARIOS])
def test_the_python_client_passes_the_scenario(scenario: Json) -> None:
    run({**scenario, "options": without_websocket(scenario.get("options", {}))}, InThread)


def without_websocket(options: Json) -> Json:
    return {"transports": ["sse", "polling"]} | options


def over_websocket(options: Json) -> Json:
    names = options.get("transports", ["sse", "polling"])
    return {**options, "transports": ["websocket" if each == "sse" else each for each in names]}


OVER_WEBSOCKET = [
    each
    for each in SCENARIOS
    if "stream" in each["server"]
    and not each.get("is_for_sse_only")
    and "websocket" not in each.get("options", {}).get("transports", ())
]


@pytest.mark.parametrize("scenario", OVER_WEBSOCKET, ids=[each["name"] for each in OVER_WEBSOCKET])
def test_the_python_client_passes_the_scenario_over_a_websocket(scenario: Json) -> None:
    run({**scenario, "options": over_websocket(scenario.get("options", {}))}, InThread)


def server_of(**script: Any) -> FakeServer:
    server = FakeServer(script)
    server.start()
    return server


def test_a_refusal_is_raised_with_status_and_text() -> None:
    server = server_of(stream=[{"status": 400, "json": {"success": False, "error": "bbox needs 4 numbers"}}])
    try:
        with Client(server.url, filter={"bbox": [1, 2, 3]}) as client, pytest.raises(Refused, match="bbox") as error:
            next(iter(client))
        assert error.value.status == 400
        assert client.state.phase == "ended"
    finally:
        server.stop()


def test_a_token_function_is_asked_before_each_request() -> None:
    refused = {"status": 401, "json": {"success": False, "error": "the token has expired"}}
    server = server_of(stream=[refused, {"events": [{"message": {"type": "connected"}}]}])
    tokens = iter(["old", "new"])
    try:
        with Client(
            server.url, transports=["sse"], token=lambda: next(tokens), on_state=lambda _: client.retry_now()
        ) as client:
            assert next(iter(client))["type"] == "connected"
        assert [headers["Authorization"] for _, _, headers in server.requests] == ["Bearer old", "Bearer new"]
    finally:
        server.stop()


def test_a_busy_server_gets_no_stream_request_before_its_retry_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenwave_client.client.FIRST_UPGRADE_SECONDS", 0.0)  # each pause would end in a stream
    busy = {"events": ["retry: 3600000\n\n", {"message": {"type": "busy"}}], "end": "finish"}
    poll = {"json": {"success": True, "data": {"predictions": [], "cursor": "c1", "timestamp": ""}}}
    server = server_of(stream=[busy], poll=[poll])
    try:
        with Client(server.url, transports=["sse", "polling"], poll_seconds=0.01) as client:
            positions = (message for message in client if message["type"] == "position")
            for _ in range(4):
                next(positions)
        assert [route for route, _, _ in server.requests] == ["stream", "poll", "poll", "poll", "poll"]
    finally:
        server.stop()


@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_close_ends_an_iteration_that_waits_for_bytes(transport: str) -> None:
    server = server_of(stream=[{"events": [{"message": {"type": "connected"}}]}])
    client, types = Client(server.url, transports=[transport]), []
    opened = threading.Event()

    def read() -> None:
        for message in client:
            types.append(message["type"])
            opened.set()

    thread = threading.Thread(target=read)
    thread.start()
    try:
        assert opened.wait(60)
        client.close()
        thread.join(60)
        assert (thread.is_alive(), types, client.state.phase) == (False, ["connected"], "ended")
    finally:
        server.stop()


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://host", "http://", "http://host?road=A"])
def test_an_address_that_is_no_server_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="allowed: http"):
        Client(url)


def test_an_unknown_transport_is_refused() -> None:
    with pytest.raises(ValueError, match="allowed: websocket, sse, polling"):
        Client("http://localhost:8000", transports=["smoke"])


def test_a_websocket_is_first_where_its_package_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    server = server_of(stream=[{"events": [{"message": {"type": "connected"}}]}])
    try:
        with Client(server.url) as client:
            next(iter(client))
            assert client.state.transport == "WebSocket"
        monkeypatch.setitem(sys.modules, "websockets", None)
        with Client(server.url) as client:
            next(iter(client))
            assert client.state.transport == "SSE"
        with pytest.raises(ValueError, match="pip install"):
            Client(server.url, transports=["websocket"])
    finally:
        server.stop()


@pytest.mark.parametrize("token", ["", "two words", "t\nX-Other: 1", "tökén"])
def test_a_token_that_can_not_be_sent_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="visible ASCII"):
        Client("http://localhost:8000", token=token)


def test_a_poll_counts_as_a_whole_for_code_that_throws() -> None:
    def answer(*names: str, cursor: str) -> Json:
        predictions = [{"segment_id": each} for each in names]
        return {"json": {"success": True, "data": {"predictions": predictions, "cursor": cursor}}}

    server = server_of(poll=[answer(cursor="c1"), answer("A", "B", cursor="c2")])
    segments: list[str] = []
    try:
        with Client(server.url, transports=["polling"], poll_seconds=0.01) as client:
            with pytest.raises(ProgramError):
                read_changes(client, segments, 1)
            assert (segments, client.cursor) == (["A"], "c1")
            with pytest.raises(ProgramError):
                read_changes(client, segments, 3)
        assert segments == ["A", "A", "B"]
    finally:
        server.stop()


def read_changes(client: Client, segments: list[str], count: int) -> None:
    for message in client:
        if message["type"] == "prediction":
            segments.append(message["data"]["segment_id"])
            if len(segments) == count:
                raise ProgramError


@pytest.fixture
def hanging() -> Iterator[Callable[[], str]]:
    """Yield a token function that hangs until the test ends."""
    released = threading.Event()
    yield lambda: "t" if released.wait(60) else ""
    released.set()
    for each in threading.enumerate():
        if each.name == "greenwave-token":
            each.join(60)


def test_a_token_function_that_hangs_is_called_again_a_few_times(
    hanging: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("greenwave_client.tokens.ANSWER_SECONDS", 0.01)
    client: Client
    errors: list[str | None] = []

    def on_state(state: State) -> None:
        if state.phase == "waiting":
            errors.append(state.error)
            client.close() if len(errors) == 6 else client.retry_now()

    client = Client("http://127.0.0.1:9", token=hanging, on_state=on_state)
    assert list(client) == []
    assert errors == 4 * ["the token function has not answered for 0.01 s"] + 2 * [
        "4 calls of the token function have not answered"
    ]
    assert (client.state.phase, client.state.error) == ("ended", None)


def test_close_ends_a_wait_for_the_token_function(hanging: Callable[[], str]) -> None:
    called = threading.Event()

    def token() -> str:
        called.set()
        return hanging()

    client = Client("http://127.0.0.1:9", token=token)
    thread = threading.Thread(target=list, args=(client,))
    thread.start()
    assert called.wait(60)
    client.close()
    thread.join(60)
    assert client.state.phase == "ended"
    assert client.state.error is None


def test_half_of_each_wait_is_random() -> None:
    assert [backoff(2, 1.0, 8.0, drawn) for drawn in (0.0, 1.0)] == [2.0, 4.0]
    assert backoff(5_000, 1.0, 8.0, 1.0) == 8.0


TEXT = ": padding\r\nid: c1\r\ndata: a\u2028b\r\ndata:c\r\n\r\nid: c\0\nretry: 1500\nretry: 1e3\ndata\n\n"


@pytest.mark.parametrize("size", [1, 2, 3, 1_000])
def test_an_event_stream_may_be_cut_anywhere(size: int) -> None:
    reader, data = EventStreamReader(), TEXT.encode()
    events = [each for begin in range(0, len(data), size) for each in reader.read(data[begin : begin + size])]
    assert events == ["a\u2028b\nc", ""]
    assert (reader.last_id, reader.retry_seconds) == ("c1", 1.5)


def test_a_client_waits_where_the_server_asks_for_longer_than_a_timer_can() -> None:
    server = server_of(stream=[{"status": 503, "headers": {"Retry-After": "99999999999"}, "json": {}}])
    client: Client
    states: list[State] = []

    def on_state(state: State) -> None:
        states.append(state)
        if state.phase == "waiting":
            client.close()

    try:
        client = Client(server.url, transports=["sse"], on_state=on_state)
        assert list(client) == []
    finally:
        server.stop()
    assert states[0].retry_seconds == threading.TIMEOUT_MAX
