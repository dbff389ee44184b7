"""`python -m tests.chaos.health PORT`: ask how the product stands every 100 ms, and print each answer as a line.

A process of its own, for what it measures must not be slowed by the clients and producers of a scenario.
"""

import http.client
import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
EVERY_SECONDS = 0.1
LIMITS_MS = {"strict": {"p99_ms": 100, "max_ms": 500}, "loose": {"p99_ms": 2_000, "max_ms": 20_000}, "none": {}}
"""How long the answers may take: on a machine of its own, on a busy one, and on one where nothing can be said."""


class Answer(NamedTuple):
    """What /api/health and /readyz said, one after the other."""

    at: float  # when both had answered, on the monotonic clock
    seconds: float  # how long the slower one took
    state: str
    ready: bool
    reason: str
    breaker: str
    alive: bool  # whether the consumer thread was
    restarts: int
    records: int
    quarantined: int
    positions: list
    ends: list
    lags: list
    clients: int  # slots in use


class Health(threading.Thread):
    """Keeps each answer of the product at a port, from when it was made until it is closed."""

    def __init__(self, port):
        super().__init__(name="health", daemon=True)
        self.answers = []
        command = [sys.executable, "-m", "tests.chaos.health", str(port)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        self.start()

    def run(self):
        """Take in what it prints."""
        for line in self._process.stdout:
            self.answers.append(Answer(*json.loads(line)))

    def close(self):
        """End, and raise if the product was not there to be asked all the time."""
        self._process.terminate()
        self.join()
        self._process.stdout.close()
        assert self._process.wait() == -signal.SIGTERM, "health was not answered any more"

    def first(self, after, wanted):
        """Return how many seconds after a moment the first answer came that is wanted; None if none did."""
        return next((each.at - after for each in self.answers if each.at > after and wanted(each)), None)

    def changes(self, after):
        """Return (time, state, reason) of each first answer with another state after a moment."""
        found = []
        for each in self.answers:
            if each.at > after and (not found or found[-1][1] != each.state):
                found.append((each.at, each.state, each.reason))
        return found

    def between(self, begin, end):
        """Return the answers that came between two times."""
        return [each for each in self.answers if begin <= each.at < end]


def check_limits(figures, limits):
    """Assert that the answers took no longer than they may."""
    for name, limit in limits.items():
        assert figures[name] <= limit, f"{name} is above {limit}: {figures}"


def figures(*polls):
    """Return how long the answers took, in milliseconds."""
    times = sorted(each.seconds * 1000 for poll in polls for each in poll.answers)
    return {
        "answers": len(times),
        "p50_ms": round(times[len(times) // 2], 1),
        "p99_ms": round(times[int(len(times) * 0.99)], 1),
        "max_ms": round(times[-1], 1),
    }


def ask(connection, path):
    """Return an answer's JSON."""
    connection.request("GET", path)
    return json.loads(connection.getresponse().read())


def answer(connection):
    """Ask both."""
    begin = time.monotonic()
    health = ask(connection, "/api/health")["data"]
    middle = time.monotonic()
    ready = ask(connection, "/readyz")["success"]
    end = time.monotonic()
    consumer = health["consumer"]
    partitions = consumer["partitions"]
    return Answer(
        at=end,
        seconds=max(middle - begin, end - middle),
        state=health["state"],
        ready=ready,
        reason=health["reason"],
        breaker=consumer["attempts"]["breaker"],
        alive=consumer["thread_alive"],
        restarts=consumer["restarts"],
        records=consumer["records"],
        quarantined=health["quarantine"]["total"],
        positions=[each["position"] for each in partitions],
        ends=[each["end"] for each in partitions],
        lags=[each["lag"] for each in partitions],
        clients=sum(health["clients"].values()),
    )


def main():
    """Ask until this process is ended."""
    connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=30)
    while True:
        sys.stdout.write(json.dumps(answer(connection)) + "\n")
        sys.stdout.flush()
        time.sleep(EVERY_SECONDS)


if __name__ == "__main__":
    main()
