"""Polling: requests per second of the whole view, with and without ETag, compared with encoding for each request."""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.peers.base import Peer
from bench.peers.greenwave import Greenwave
from bench.peers.predecessor import Predecessor

from .figures import OURS, Figure
from .group import ROOT, until
from .http import get, get_json
from .messages import message, micros
from .world import World

SEGMENTS = 2_000
SECONDS = 3
CONNECTIONS = 8
RATE = 20
PATH = "/api/predictions"

TITLE = "Polling"
ABOUT = f"""`GET {PATH}` with {SEGMENTS:,} segments, {CONNECTIONS} connections that are kept open, {SECONDS} s each,
by `wrk`. *ETag* sends the client's ETag (304). *json.dumps per request* is the predecessor's endpoint: the same
messages as received, encoded for each request, under gunicorn's own gthread worker. *quiet* means that Kafka has no
new messages; with *{RATE} messages/s* the view changes all the time, so each change makes a new body, and ETags are
soon out of date (those answers are 200)."""


def run(world: World) -> list[Figure]:
    """Measure one round."""
    if not shutil.which("wrk"):
        print("polling is skipped: wrk is not installed (apt-get install wrk)")
        return []
    topic = world.topic()
    world.publish(topic, (message(number, micros(), SEGMENTS) for number in range(SEGMENTS)))
    with Greenwave(world, topic, CONNECTIONS) as ours, Predecessor(world, topic, CONNECTIONS) as theirs:
        until(lambda: get_json(ours.port, PATH)["data"]["stats"]["total"] == SEGMENTS, 30, "the view")
        until(lambda: len(get_json(theirs.port, PATH)["data"]) == SEGMENTS, 30, "the predecessor's view")
        figures = _measure(ours, theirs, "quiet")
        with _news(world, topic):
            return figures + _measure(ours, theirs, f"{RATE} messages/s")


def _measure(ours: Peer, theirs: Peer, case: str) -> list[Figure]:
    etag = get(ours.port, PATH)[0]["etag"]
    return [
        *_wrk(ours, f"200, {case}", OURS),
        *_wrk(theirs, f"200, {case}", "json.dumps per request"),
        *_wrk(ours, f"ETag, {case}", OURS, "-H", f"If-None-Match: {etag}"),
        *_wrk(theirs, f"ETag, {case}", "json.dumps per request", "-H", f"If-None-Match: {etag}"),
    ]


def _wrk(peer: Peer, case: str, name: str, *options: str) -> list[Figure]:
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--latency", *options]
    done = subprocess.run([*command, f"http://127.0.0.1:{peer.port}{PATH}"], capture_output=True, text=True, check=True)
    wrong = re.search(r"Non-2xx or 3xx responses: (\d+)", done.stdout)
    if wrong:
        raise RuntimeError(f"{name} answered {wrong[1]} requests with an error:\n{done.stdout}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    slow = re.search(r"99%\s+([\d.]+)(us|ms|s)", done.stdout)
    assert rate, done.stdout
    assert slow, done.stdout
    p99 = float(slow[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[slow[2]]
    return [Figure("polling", case, name, "requests/s", float(rate[1])), Figure("polling", case, name, "p99, ms", p99)]


@contextmanager
def _news(world: World, topic: str) -> Iterator[None]:
    """Publish while the block runs."""
    command = [sys.executable, "-m", "bench.feeder", world.broker, topic, str(RATE)]
    feeder = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        time.sleep(1.0)  # while the producer connects
        yield
    finally:
        feeder.communicate(timeout=30)
