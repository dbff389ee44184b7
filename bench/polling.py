"""Polling: requests per second of the whole view, beside a constant body of that size, and with an ETag."""

import re
import shutil
import subprocess
import sys

from .attempts import note
from .figures import OURS, Figure
from .group import until
from .http import get, get_json
from .messages import SEGMENTS, message, micros
from .peers.base import Peer
from .peers.greenwave import REQUEST_THREADS, Greenwave
from .processes import Feeder
from .world import World

SECONDS = 3
CONNECTIONS = 8
RATE = 20.0
PATH = "/api/predictions"
CONSTANT = "constant body"

TITLE = "Polling"
ABOUT = f"""`GET {PATH}` with {SEGMENTS} segments, {CONNECTIONS} connections that are kept open, {SECONDS} s each, by
`wrk`. *{CONSTANT}* is a Flask view that returns the same number of bytes, under gunicorn's own gthread worker with
{REQUEST_THREADS} threads, too. *304* sends the current ETag. *quiet* means that Kafka has no new messages; with
*{RATE:g} messages/s* each change makes a new body."""


def run(world: World) -> list[Figure]:
    """Measure one round."""
    if not shutil.which("wrk"):
        return [note("polling", "all", OURS, "wrk is not installed (apt-get install wrk)")]
    topic = world.topic()
    world.publish(topic, (message(number, micros()) for number in range(SEGMENTS)))
    with Greenwave(world, topic, CONNECTIONS) as ours:
        until(lambda: get_json(ours.port, PATH)["data"]["stats"]["total"] == SEGMENTS, 30, "the view")
        headers, body = get(ours.port, PATH)
        with Constant(world, body) as theirs:
            figures = [
                *_wrk(ours, "200, quiet", OURS),
                *_wrk(theirs, "200, quiet", CONSTANT),
                *_wrk(ours, "304, quiet", OURS, "-H", f"If-None-Match: {headers['etag']}"),
            ]
        with Feeder(ours, RATE) as feeder:
            figures += _wrk(ours, f"200, {RATE:g} messages/s", OURS)
            feeder.stamps()
    return figures


class Constant(Peer):
    """A server that needs no topic; `body` is what it returns."""

    name = CONSTANT

    def __init__(self, world: World, body: bytes) -> None:
        super().__init__(world, "constant", CONNECTIONS)
        self._body = world.folder / "body"
        self._body.write_bytes(body)

    def start(self) -> None:
        """Start it."""
        plain = ["--config", "python:bench.programs.plain_gunicorn", "--worker-class", "gthread"]
        options = ["--bind", f"127.0.0.1:{self.port}", "--threads", str(REQUEST_THREADS)]
        app = ["bench.programs.constant_app:app"]
        self.run(sys.executable, "-m", "gunicorn", *plain, *options, *app, env={"BENCH_BODY": str(self._body)})


def _wrk(peer: Peer, case: str, name: str, *options: str) -> list[Figure]:
    address = f"http://127.0.0.1:{peer.port}{PATH}"
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--latency", *options, address]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", shown)
    slow = re.search(r"99%\s+([\d.]+)(us|ms|s)", shown)
    if "Non-2xx" in shown or not rate or not slow:
        raise RuntimeError(f"{name} did not answer all requests:\n{shown}")
    p99 = float(slow[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[slow[2]]
    return [Figure("polling", case, name, "requests/s", float(rate[1])), Figure("polling", case, name, "p99, ms", p99)]
