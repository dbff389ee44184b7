"""Runs one scenario of scenarios.json: a client against the fake server, and what the client reports.

Some options are not the client's, but describe the program around it: `throws_at` are segments and phases at which its
code throws, the first time, and `tokens` is what each call of its token function gives, the last one again and again.
"""

import json
import queue
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from tests.clients.fake_server import FakeServer

Json = dict[str, Any]
Event = dict[str, Any]
"""`{"message": ..., "cursor": ...}` or `{"state": ...}`, as a client gives them; or `{"uncaught": ...}`."""

SCENARIOS: list[Json] = json.loads(Path(__file__).with_name("scenarios.json").read_text(encoding="utf-8"))
WAIT_SECONDS = 60.0
HIDDEN = {"connected", "status", "stats", "position", "loading", "bye"}
"""Messages that are not compared: some transports repeat them."""


class RunningClient(Protocol):
    """A client that a scenario has started."""

    def stop(self) -> None:
        """Close it, and wait for its end."""


Start = Callable[[str, Json, Callable[[Event], None]], RunningClient]


def run(scenario: Json, start: Start) -> None:
    """Run a client until it has reported what is expected. Raises AssertionError if that differs or takes too long."""
    server = FakeServer(scenario["server"])
    server.start()
    events: queue.Queue[Event] = queue.Queue()
    seen, expected = Seen(), scenario["expect"]
    client = start(server.url, scenario.get("options", {}), events.put)
    try:
        deadline = time.monotonic() + WAIT_SECONDS
        while not seen.has_all(expected):
            try:
                seen.take(events.get(timeout=max(0.0, deadline - time.monotonic())))
            except queue.Empty:
                raise AssertionError(f"expected {expected}, seen {vars(seen)}, {server.requests}") from None
            if seen.phases[-1:] == ["waiting unreachable"] and not server.is_running:
                server.start()
    finally:
        client.stop()
        server.stop()
    check(seen, server.requests, expected)


class Seen:
    """What a client has reported."""

    def __init__(self) -> None:
        self.messages: list[list[Any]] = []
        self.phases: list[str] = []
        self.waits: list[float] = []
        self.error: str | None = None
        self.errors: list[str] = []
        self.uncaught: list[str] = []

    def take(self, event: Event) -> None:
        """Add an event."""
        if "message" in event:
            if event["message"]["type"] not in HIDDEN:
                self.messages.append([*summary_of(event["message"]), event["cursor"]])
            return
        if "uncaught" in event:
            self.uncaught.append(event["uncaught"])
            return
        state = event["state"]
        phase = f"waiting {state['reason']}" if state["phase"] == "waiting" else state["phase"]
        if state["phase"] == "waiting":
            self.waits.append(state["retry_seconds"])
            self.errors += [state["error"]] if state["error"] else []
        if phase != "connecting" and self.phases[-1:] != [phase]:
            self.phases.append(phase)
        self.error = state["error"]

    def has_all(self, expected: Json) -> bool:
        """Return whether there are as many messages, phases and waits as expected."""
        return (
            len(self.messages) >= len(expected.get("messages", []))
            and len(self.phases) >= len(expected["phases"])
            and len(self.waits) >= len(expected.get("waits", []))
            and len(self.uncaught) >= len(expected.get("uncaught", []))
        )


def summary_of(message: Json) -> list[Any]:
    """Return the type of a message, and what tells it from others."""
    if message["type"] == "initial":
        return [
            "initial",
            *(each["segment_id"] for each in [*message["predictions"], *message.get("observations", [])]),
        ]
    if message["type"] in ("prediction", "observation"):
        return [message["type"], message["data"]["segment_id"]]
    named = (message[name] for name in ("segment_id", "reason", "missed") if name in message)
    return [message["type"], *named]


def check(seen: Seen, requests: list[tuple[str, Json, Json]], expected: Json) -> None:
    """Compare what was seen and requested with what is expected."""
    assert seen.messages == expected.get("messages", [])
    assert seen.phases == expected["phases"], vars(seen)
    assert seen.error == expected.get("error")
    assert seen.errors == expected.get("errors", [])
    assert seen.uncaught == expected.get("uncaught", [])
    for drawn, (least, most) in zip(seen.waits, expected.get("waits", []), strict=False):
        assert least <= drawn <= most, seen.waits
    named = expected.get("requests", [])
    asked = [[route, query, headers] for route, query, headers in requests]
    assert asked[: len(named)] == [[*each, {}][:3] for each in named]
    if expected["phases"][-1] == "ended":
        assert len(asked) == len(named), "a client that has ended requests nothing more"
