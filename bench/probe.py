"""Requests beside streams: one client that asks for several paths in turn and times the answers."""

import contextlib
import http.client
import threading
import time
from collections.abc import Iterator, Sequence

from .figures import percentile

INTERVAL_SECONDS = 0.05
TIMEOUT_SECONDS = 10.0


class Probe:
    """The time of each answer in milliseconds, by path; an answer that is not 200 counts as failed."""

    def __init__(self, port: int, paths: Sequence[str]) -> None:
        self._port = port
        self._stop = threading.Event()
        self.times: dict[str, list[float]] = {path: [] for path in paths}
        self.failed = 0

    @contextlib.contextmanager
    def running(self) -> Iterator["Probe"]:
        """Ask while the block runs."""
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()

    def p99(self, path: str) -> float:
        """Return the 99th percentile of a path."""
        return percentile(self.times[path], 0.99)

    def _run(self) -> None:
        while not self._stop.is_set():
            for path in self.times:
                begin = time.monotonic()
                if self._ask(path):
                    self.times[path].append(1000 * (time.monotonic() - begin))
                else:
                    self.failed += 1
                self._stop.wait(INTERVAL_SECONDS)

    def _ask(self, path: str) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            return answer.status == 200
        except OSError:
            return False
        finally:
            connection.close()
