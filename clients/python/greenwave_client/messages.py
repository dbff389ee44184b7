"""Messages of the wire format, without IO: event streams, and views that arrive in parts."""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any

Message = dict[str, Any]
Received = tuple[Message, str | None]
"""A message with its cursor, if it has one."""

KNOWN = frozenset(
    {
        *("connected", "initial", "loading", "prediction", "observation", "left", "position"),
        *("stats", "status", "gap", "renewed", "error", "busy", "bye"),
    }
)
"""Types of messages. A newer server may send others, which are ignored."""

LINE_END = re.compile(r"\r\n|\n|\r")


class EventStreamReader:
    """Parses text/event-stream by the WHATWG standard, from chunks of any size."""

    def __init__(self) -> None:
        self.last_id: str | None = None
        self.retry_seconds: float | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._data: list[str] = []
        self._after_return = False

    def read(self, chunk: bytes) -> Iterator[str]:
        """Yield the data of each event that ends in this chunk; `last_id` and `retry_seconds` are up to date then."""
        text = self._decoder.decode(chunk)
        # The line feed of a CR LF that was cut in two would be read as an empty line, which ends an event.
        if self._after_return and text.startswith("\n"):
            text = text[1:]
        self._after_return = text.endswith("\r") if text else self._after_return
        *lines, self._rest = LINE_END.split(self._rest + text)
        for line in lines:
            if line:
                self._field(line)
            elif self._data:
                data, self._data = "\n".join(self._data), []
                yield data

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self.last_id = value
        elif name == "retry" and value.isascii() and value.isdecimal():
            self.retry_seconds = int(value) / 1000


def parse(text: str) -> Message | None:
    """Return the message of a JSON text; None for anything else, which doesn't end the connection."""
    try:
        message = json.loads(text)
    except ValueError:
        return None
    return message if isinstance(message, dict) and isinstance(message.get("type"), str) else None


class ViewParts:
    """Joins a view that arrives in parts: `initial` with counts, then predictions and observations up to them.

    Before an incomplete view, `loading` says how many predictions are on their way. A view that is cut off is dropped:
    only its last part has the cursor, so the next connection begins with a view again.
    """

    def __init__(self) -> None:
        self._view: Message | None = None

    def push(self, message: Message, cursor: str | None) -> Iterator[Received]:
        """Yield what a message completes."""
        kind = message["type"]
        if kind == "initial":
            self._view = _copy_of(message)
        elif self._view is not None and kind == "prediction":
            self._view["predictions"].append(message["data"])
        elif self._view is not None and kind == "observation":
            self._view.setdefault("observations", []).append(message["data"])
        else:
            yield message, cursor
            return
        view = self._view
        observed, predicted = len(view.get("observations", ())), len(view["predictions"])
        if predicted < view.get("count", 0) or observed < view.get("observation_count", 0):
            if kind == "initial":
                yield {"type": "loading", "count": view["count"]}, None
            return
        self._view = None
        yield view, cursor


def _copy_of(message: Message) -> Message:
    copy = {**message, "predictions": [*message["predictions"]]}
    return copy | ({"observations": [*message["observations"]]} if "observations" in message else {})
