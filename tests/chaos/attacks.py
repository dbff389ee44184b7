"""Attacks on the server from one address, while another process asks it every 20 ms whether it is alive.

`python -m tests.chaos.attacks PORT` is that process. What it measures must not be slowed by the attacker.
"""

import contextlib
import http.client
import itertools
import math
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.checks import pause_for
from tests.web.server.attacks import ATTACKS, BY_BYTES, OPEN_FILES
from tests.web.server.test_worker import until
from web.server.descriptors import raise_limit

ROOT = Path(__file__).resolve().parents[2]
EVERY_SECONDS = 0.02
ROUND_SECONDS = 0.5
"""How long the connections of a round stay open. A flood of new ones takes the machine's time, whatever the server."""
LIMITS_MS = {"strict": 200, "loose": 20_000, "none": math.inf}
"""How long an answer of /healthz may take: on a machine of its own, on a busy one, on an overloaded one."""


def attacks(seconds=10):
    """Attack the server by each way from one address: `/healthz` is answered on a new connection every 20 ms.

    The server has four threads and reads a topic in memory.
    """
    assert raise_limit(OPEN_FILES) >= OPEN_FILES, "the hard limit of open files is low"
    return {name: _measured(attack, seconds) for name, attack in {**ATTACKS, **BY_BYTES}.items()}


def _measured(attack, seconds):
    """Attack for so many seconds; return how long the answers took in the meantime."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="greenwave-attacks-")))
        server = stack.enter_context(attack.server(folder / "log"))
        rounds, count = attack.begin(server), 0
        with contextlib.closing(Liveness(server.port, folder / "liveness")) as liveness:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                next(rounds)
                count += 1
                pause_for(ROUND_SECONDS)
        return {"rounds": count, **liveness.figures()}


def check_attacks(figures, limit_ms):
    """Assert that each answer of /healthz came in time."""
    late = {name: found["healthz_max_ms"] for name, found in figures.items() if found["healthz_max_ms"] >= limit_ms}
    assert not late, f"/healthz took {limit_ms} ms or more: {late}"


class Liveness:
    """Asks for /healthz in a process of its own from when it was made until it is closed."""

    def __init__(self, port, path):
        self._path = path
        with path.open("wb") as output:
            command = [sys.executable, "-m", "tests.chaos.attacks", str(port)]
            self._process = subprocess.Popen(command, cwd=ROOT, stdout=output)
        until(path.read_bytes)

    def close(self):
        """End it, and raise if a request was not answered."""
        self._process.terminate()
        assert self._process.wait() == -signal.SIGTERM, "/healthz was not answered"

    def figures(self):
        """Return how many answers came, and how long they took in milliseconds."""
        *lines, _ = self._path.read_text().split("\n")  # the last one may be in part
        answers = [(float(milliseconds), int(requests)) for milliseconds, requests in map(str.split, lines)]
        times = sorted(milliseconds for milliseconds, _ in answers)
        return {
            "healthz_answers": len(times),
            "healthz_repeated": sum(requests - 1 for _, requests in answers),
            "healthz_p50_ms": times[len(times) // 2],
            "healthz_max_ms": times[-1],
        }


def ask(port):
    """Ask until the server says that it is alive; return how long that took in milliseconds, and how many requests.

    A server without a free connection closes one that has sent nothing yet, which may be this one.
    """
    begin = time.monotonic()
    for count in itertools.count(1):
        with contextlib.suppress(ConnectionError, http.client.RemoteDisconnected):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            with contextlib.closing(connection):
                connection.request("GET", "/healthz")
                answer = connection.getresponse()
                assert answer.status == 200, answer.status
                assert b'"alive"' in answer.read()
                return 1000 * (time.monotonic() - begin), count
    return None


def main():
    """Ask until this process is ended."""
    due = time.monotonic()
    while True:
        milliseconds, requests = ask(int(sys.argv[1]))
        sys.stdout.write(f"{milliseconds:.1f} {requests}\n")
        sys.stdout.flush()
        due = max(due + EVERY_SECONDS, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    main()
