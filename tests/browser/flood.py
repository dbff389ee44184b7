"""A fake server under load: all segments change several times a second, between begin() and end().

Messages are made when they are sent, and not kept: it takes no memory, and little of the CPU that the browser shares.
"""

import math
import threading
import time
from collections.abc import Iterator
from typing import Any

from tests.browser.fake_server import FakeServer, categorise, frame, now_iso, prediction

FASTEST = 75
ON_A_ROAD = 100
SLICES = 4
"""Each round is sent in this many parts, as a server would, not at once."""


class Flood(FakeServer):
    """Sends a new prediction of each of `segments`, `per_second` times a second, after begin()."""

    def __init__(self, segments: int, per_second: float, **config: Any) -> None:
        super().__init__(**config)
        self._per_second = per_second
        self._places = [place(number) for number in range(segments)]
        self._begun = threading.Event()
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self.sent = 0

    def begin(self) -> None:
        """Start to send."""
        self._begun.set()

    def end(self) -> None:
        """Stop to send, and wait for it; `sent` is the number of predictions."""
        self._stopping.set()
        assert self._ended.wait(60)

    def stop(self) -> None:
        """Stop, as any server."""
        self._begun.set()
        self._stopping.set()
        super().stop()

    def _follow(self, place: int | None, alive: int, mode: str) -> Iterator[bytes]:
        view = [prediction(f"S{number:04d}", **each) for number, each in enumerate(self._places)]
        yield frame({"type": "initial", "predictions": view, "count": len(view)}, 0)
        while not self._begun.wait(0.2):
            yield b": heartbeat\n\n"
        begin, slice_seconds = time.monotonic(), 1 / self._per_second / SLICES
        number = 0
        while not self._stopping.wait(max(0.0, begin + number * slice_seconds - time.monotonic())):
            yield self._slice(number)
            number += 1
        self._ended.set()
        while self._alive == alive:
            time.sleep(0.05)
            yield b": heartbeat\n\n"

    def _slice(self, number: int) -> bytes:
        """Return the events of a part of a round."""
        turn, part = divmod(number, SLICES)
        at_ms, iso = int(time.time() * 1000), now_iso()
        chosen = range(part, len(self._places), SLICES)
        self.sent += len(chosen)
        return "".join([self._event(each, turn, at_ms, iso) for each in chosen]).encode()

    def _event(self, number: int, turn: int, at_ms: int, iso: str) -> str:
        """Return one event; formatted here, since json.dumps takes ten times as long."""
        at, now = self._places[number], (number + 3 * turn) % FASTEST
        speed = (now + 3) % FASTEST
        return (
            f'id: {self.sent}-{number}\ndata: {{"type":"prediction","data":{{"segment_id":"S{number:04d}",'
            f'"timestamp":{at_ms},"prediction_time":"{iso}","horizon_minutes":null,"current_speed":{now}.5,'
            f'"predicted_speed":{speed}.5,"speed_diff":{speed - now},"current_volume":null,'
            f'"category":"{CATEGORIES[speed]}","road_name":"{at["road_name"]}","coordinates":'
            f'{{"latitude":{at["coordinates"]["latitude"]},"longitude":{at["coordinates"]["longitude"]}}}}}}}\n\n'
        )


CATEGORIES = [categorise(speed + 0.5) for speed in range(FASTEST)]


def place(number: int) -> dict[str, Any]:
    """Return the road and coordinates of a segment: straight roads that spread from one point."""
    road, along = divmod(number, ON_A_ROAD)
    angle, far = road * 0.31, 0.02 + along * 0.003
    latitude, longitude = 34.05 + far * math.sin(angle), -118.25 + far * math.cos(angle)
    where = {"latitude": round(latitude, 5), "longitude": round(longitude, 5)}
    return {"road_name": f"I-{road + 1} N", "coordinates": where}
