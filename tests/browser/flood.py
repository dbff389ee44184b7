"""A fake server whose stream is a flood: all segments change several times a second, for as long as it is let flow.

Messages are made as they are sent, and forgotten: minutes of it cost no memory, and little of the machine that the
browser shares.
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
"""Each round is sent in so many parts, as a server sends what comes: not all at once."""


class Flood(FakeServer):
    """Sends a new prediction of each of `segments`, `per_second` times a second, once let_flow() was called."""

    def __init__(self, segments: int, per_second: float, **config: Any) -> None:
        super().__init__(**config)
        self._per_second = per_second
        self._places = [place(number) for number in range(segments)]
        self._flowing = threading.Event()
        self._dry = threading.Event()
        self._ended = threading.Event()
        self.sent = 0

    def let_flow(self) -> None:
        """Begin to send."""
        self._flowing.set()

    def dry_up(self) -> None:
        """Send no more, and wait until that is so; `sent` tells how many predictions there were."""
        self._dry.set()
        assert self._ended.wait(10)

    def stop(self) -> None:
        """Die, as any server."""
        self._flowing.set()
        self._dry.set()
        super().stop()

    def _follow(self, place: int | None, alive: int, mode: str) -> Iterator[bytes]:
        view = [prediction(f"S{number:04d}", **each) for number, each in enumerate(self._places)]
        yield frame({"type": "initial", "predictions": view, "count": len(view)}, 0)
        while not self._flowing.wait(0.2):
            yield b": heartbeat\n\n"
        begin, slice_seconds = time.monotonic(), 1 / self._per_second / SLICES
        number = 0
        while not self._dry.wait(max(0.0, begin + number * slice_seconds - time.monotonic())):
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
        """Return one event; by hand, since json.dumps would take ten times as long."""
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
    """Return where a segment is: along straight roads that spread over the region from one point."""
    road, along = divmod(number, ON_A_ROAD)
    angle, far = road * 0.31, 0.02 + along * 0.003
    latitude, longitude = 34.05 + far * math.sin(angle), -118.25 + far * math.cos(angle)
    where = {"latitude": round(latitude, 5), "longitude": round(longitude, 5)}
    return {"road_name": f"I-{road + 1} N", "coordinates": where}
