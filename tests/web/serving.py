"""The app as it is served, with a few more routes for the tests of the worker."""

import contextlib
import gc
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any

from flask import Response, request

import web.publish.bodies
import web.server.heads
from app import create_app
from consumer import Consumer
from consumer.settings import load
from consumer.sources.memory import MemorySource, MemoryTopic
from web.access.rules import RULES, Rule
from web.logs import configure
from web.server.client import Client, TakenOver, take_over, wait_for
from web.server.worker import Worker
from web.services import services

settings = load(os.environ)
configure(settings)
web.publish.bodies.BODY_SECONDS = float(os.environ.get("BODY_SECONDS", web.publish.bodies.BODY_SECONDS))
web.server.heads.HEAD_SECONDS = float(os.environ.get("HEAD_SECONDS", web.server.heads.HEAD_SECONDS))
topic = MemoryTopic()
LARGE = b"".join(b"%07d\n" % number for number in range(75_000))
_consumers: list[Consumer] = []
_workers: list[Worker] = []
_run = Worker.run


def _remember_and_run(worker: Worker) -> None:
    _workers[:] = [worker]
    _run(worker)


Worker.run = _remember_and_run
_init_process = Worker.init_process


def _end_first_worker(worker: Worker) -> None:
    """Send SIGTERM to the first worker as early as the master can."""
    if worker.age == 1:
        os.kill(worker.pid, signal.SIGTERM)
    _init_process(worker)


if os.environ.get("END_FIRST_WORKER"):
    Worker.init_process = _end_first_worker
_lock = threading.Lock()


def get_consumer() -> Consumer:
    """Serve a topic in memory, so that no broker is needed."""
    with _lock:
        if not _consumers:
            consumer = Consumer(settings, lambda _: MemorySource(topic))
            consumer.start()
            _consumers.append(consumer)
        return _consumers[0]


app = create_app(settings, get_consumer)
RULES.update(publish=Rule.OPEN, cut=Rule.OPEN)  # with authentication, too


@app.get("/slow")
def slow() -> str:
    """Take a while."""
    threading.Event().wait(float(request.args["seconds"]))
    return "done"


@app.get("/hold")
def hold() -> Response:
    """Hold a thread until the client leaves, after a first word."""
    client = Client(request.environ)

    def words() -> Iterator[bytes]:
        yield b"held"
        while not client.has_left():
            threading.Event().wait(0.02)

    return Response(words())


@app.get("/descriptors")
def descriptors() -> Response:
    """Open all the files that may be open, until the client leaves."""
    client = Client(request.environ)

    def words() -> Iterator[bytes]:
        taken = []
        try:
            with contextlib.suppress(OSError):
                while True:
                    taken.append(os.dup(0))
            yield b"taken"
            while not client.has_left():
                threading.Event().wait(0.01)
        finally:
            for each in taken:
                os.close(each)

    return Response(words())


@app.get("/connections")
def connections() -> dict[str, int]:
    """Tell what the worker counts."""
    (worker,) = _workers
    waiting = {"lingering": len(worker._lingering), "unsent": len(worker._outbox)}
    readers = sum(each.name == "greenwave-websocket" for each in threading.enumerate())
    waiting["websocket_threads"] = readers
    return {"connections": worker.nr_conns, **waiting, **services().admission.counts()}


@app.get("/interpreter")
def interpreter() -> dict[str, Any]:
    """Tell how the interpreter is tuned."""
    return {"collect_after": gc.get_threshold(), "kept": gc.get_freeze_count(), "switch": sys.getswitchinterval()}


@app.get("/large")
def large() -> bytes:
    """Answer with more than the buffers of a socket take."""
    return LARGE


@app.get("/flood")
def flood() -> Response:
    """Write for ever, as a stream does, with a client time-out of half a second."""
    client: socket.socket = request.environ["gunicorn.socket"]
    wait_for(client)
    client.settimeout(0.5)
    slot = services().admission.slot()
    assert slot.acquire("sse", lambda: client.shutdown(socket.SHUT_RDWR))

    def chunks() -> Iterator[bytes]:
        while True:
            yield b"x" * 65_536

    response = Response(chunks())
    response.call_on_close(slot.release)
    return response


@app.get("/publish")
def publish() -> str:
    """Publish predictions for the segments n<from> to n<to>, without the last."""
    for number in range(int(request.args["from"]), int(request.args["to"])):
        value = {"segment_id": f"n{number}", "timestamp": 1_700_000_000_000, "predicted_speed": 50}
        topic.append(json.dumps(value).encode(), partition=number % 2)
    return "done"


@app.get("/burst")
def burst() -> str:
    """Publish one record with predictions for the segments b0 to b19."""
    items = [
        {"segment_id": f"b{number}", "timestamp": 1_700_000_000_000, "predicted_speed": 50} for number in range(20)
    ]
    topic.append(json.dumps(items).encode(), partition=0)
    return "done"


@app.get("/recreate")
def recreate() -> str:
    """Replace the topic by an empty one."""
    topic.recreate(4, b"memory-2")
    return "done"


@app.get("/unreachable")
def unreachable() -> str:
    """Make the topic unreachable. With a long KAFKA_SILENCE_SECONDS the consumer stays live."""
    topic.set(reachable=False)
    return "done"


@app.get("/cut")
def cut() -> str:
    """Disconnect all clients that hold a slot, as a bad network does."""
    services().admission.abort()
    return "done"


@app.get("/flood-the-topic")
def flood_the_topic() -> str:
    """Publish more than the buffers of a socket take."""
    value = json.dumps(
        {"segment_id": "x" * 200, "timestamp": 1_700_000_000_000, "predicted_speed": 1, "road_name": "y" * 200}
    )
    for _ in range(20_000):
        topic.append(value.encode(), partition=0)
    return "done"


@app.get("/stuck")
def stuck() -> Response:
    """Like /flood, with a client time-out that is longer than any test."""
    response = flood()
    request.environ["gunicorn.socket"].settimeout(600)
    return response


@app.get("/taken-over")
def taken_over() -> Response:
    """Take over the client's socket, and answer with the bytes that it has sent after its request."""
    found = take_over(request.environ)
    if found is None:
        return Response("not taken over")
    taken, received = found

    def answer() -> None:
        closed.wait()
        with taken:
            taken.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\ntaken " + received)

    closed = threading.Event()
    threading.Thread(target=answer).start()
    response = TakenOver(status=299)
    response.call_on_close(closed.set)
    return response


@app.get("/streams")
def streams() -> Response:
    """Take over the client's socket and hold a slot of the stream pool until the client or the process closes."""
    slot, here = services().admission.stream_slot(), services()
    if not slot.acquire("sse"):
        return Response("busy")
    found = take_over(request.environ)
    assert found is not None
    taken, _ = found
    taken.setblocking(True)
    taken.sendall(b"HTTP/1.1 200 OK\r\n\r\nopened")

    def hold() -> None:
        with taken, slot:
            taken.settimeout(0.02)
            while not here.admission.closing.is_set():
                with contextlib.suppress(TimeoutError):
                    if taken.recv(1) == b"":
                        return
            taken.sendall(b"bye")

    threading.Thread(target=hold, name="stream").start()
    return TakenOver()
