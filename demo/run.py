"""`make run`: broker, feed and server on one machine, as `python -m demo.run`.

    embedded broker ──▶ synthetic feed
                   └──▶ gunicorn ──▶ /readyz is 200 ──▶ the address is printed

With KAFKA_BROKERS or KAFKA_URL set, only gunicorn is started, with that Kafka. Ctrl-C, SIGTERM and SIGHUP stop all
processes with exit code 0. A child that ends by itself stops all with exit code 1. No process outlives this one, see
`demo.launch`.

The nearest library is honcho 2.0 (October 2024). It was not used: it starts all processes at once although the feed
needs the broker, runs commands through a shell, exits with 130 after Ctrl-C, and leaves its children running when it is
killed.
"""

import argparse
import errno
import http.client
import json
import os
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

from consumer.errors import SettingsError
from consumer.messages.files import check_files
from consumer.settings import Settings, load

from .broker import BrokerError, EmbeddedBroker, free_port
from .child import Child, ChildError
from .output import write_lines

WEB = (sys.executable, "-m", "gunicorn", "wsgi:app")
FEED = (sys.executable, "-m", "flask", "--app", "app", "synthetic-feed")
ROOT = Path(__file__).resolve().parent.parent

_READY_SECONDS = 60.0
_REMIND_SECONDS = 3.0
_REMIND_AT_MOST_SECONDS = 60.0
_POLL_SECONDS = 0.1
_LOOK_SECONDS = 0.5
"""How often it looks for a signal: one that arrives just before a wait, or at another thread, does not end the wait."""
_GRACE_SECONDS = {"feed": 2.0, "web": 6.0}
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ADVICE = {
    errno.EADDRINUSE: "stop the process that uses it, or choose another, for example PORT=8001",
    errno.EACCES: "ports below 1024 need privileges; choose another, for example PORT=8000",
}
_NOT_FOR_EMBEDDED = ("KAFKA_SECURITY_", "KAFKA_SASL_", "KAFKA_SSL_")
_USAGE = argparse.ArgumentParser(
    prog="python -m demo.run",
    description="Run an embedded broker, a synthetic feed and the server, until Ctrl-C; with KAFKA_BROKERS or "
    "KAFKA_URL set, run only the server with that Kafka. Settings are environment variables, see docs/settings.md.",
)


class RunError(Exception):
    """A process can't be started or has ended; the text says why, and what to do."""


class Reminder:
    """When to repeat a text: after _REMIND_SECONDS, then after twice as long each time, up to a limit."""

    def __init__(self, now: float) -> None:
        self._said, self._pause = now, _REMIND_SECONDS

    def end_pause(self, now: float) -> bool:
        """Begin the next pause if this one is over; return whether it is, so that the text is due."""
        if now - self._said < self._pause:
            return False
        self._said, self._pause = now, min(2 * self._pause, _REMIND_AT_MOST_SECONDS)
        return True


class StopRequested(Exception):
    """A signal requested the end, or standard output was closed."""


def main(environ: Mapping[str, str] = os.environ, web: Sequence[str] = WEB, feed: Sequence[str] = FEED) -> int:
    """Run until stopped; return the exit code. `web` and `feed` are the commands to start."""
    try:
        run = _Run(load(environ), environ)
        with _signals_to(run.request_stop):
            run.run(web, feed)
    except StopRequested:
        write_lines("run", "stopped")
    except (RunError, BrokerError, ChildError, SettingsError) as error:
        write_lines("run", f"error: {error}")
        return 1
    return 0


@contextmanager
def _signals_to(on_signal: Callable[[], None]) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    caught = [number for number, handler in before.items() if handler != signal.SIG_IGN]  # nohup ignores SIGHUP

    def handle(_number: int, _frame: FrameType | None) -> None:
        on_signal()

    for number in caught:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in caught:
            signal.signal(number, before[number])


class _Run:
    """One run: its processes, and the events that end it."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._bind = settings.address
        self._port = settings.port or free_port()
        # The wildcard address is reached through loopback.
        self._host = "127.0.0.1" if self._bind in {"0.0.0.0", "::", "[::]"} else self._bind.strip("[]")
        self._environ = {**environ, "PORT": str(self._port), "PYTHONUNBUFFERED": "1", "BIND": self._bind}
        self._events: queue.SimpleQueue[Exception] = queue.SimpleQueue()
        self._children: list[Child] = []
        self._own_broker = not (settings.kafka_brokers or settings.kafka_url)
        self._stopping = False

    def request_stop(self) -> None:
        """Request the end; a second request kills all processes. Safe in a signal handler."""
        self._events.put(StopRequested())
        if self._stopping:
            for child in self._children:
                child.kill()

    def run(self, web: Sequence[str], feed: Sequence[str]) -> None:
        """Start the processes in order and wait for an event, which is raised; then stop them in reverse order."""
        self._check_port()
        if not self._own_broker:
            check_files(self._settings)  # one line here, instead of a traceback of the server
        with ExitStack() as ends:
            try:
                if self._own_broker:
                    self._start_broker(ends)
                    self._start("feed", feed, ends)
                self._start("web", web, ends)
                self._wait_until_ready()
                self._say("run", f"Greenwave is at http://{self._authority()}/  (stop with Ctrl-C)")
                while True:
                    self._wait_for_event(_LOOK_SECONDS)
            finally:
                self._terminate()

    def _authority(self) -> str:
        return f"[{self._host}]:{self._port}" if ":" in self._host else f"{self._host}:{self._port}"

    def _check_port(self) -> None:
        bind = self._bind.strip("[]")
        with socket.socket(socket.AF_INET6 if ":" in bind else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections in TIME_WAIT do not matter
            try:
                probe.bind((bind, self._port))
            except OSError as error:
                why = f"{error.strerror or error}; {_ADVICE.get(error.errno or 0, 'correct BIND')}"
                raise RunError(f"can't listen on {bind}:{self._port}: {why}") from error

    def _start_broker(self, ends: ExitStack) -> None:
        self._say("run", "KAFKA_BROKERS is not set: starting the embedded broker")
        broker = EmbeddedBroker(self._settings.topic)
        ends.enter_context(broker)
        threading.Thread(target=self._watch_broker, args=(broker,), daemon=True).start()
        kept = {name: value for name, value in self._environ.items() if not name.startswith(_NOT_FOR_EMBEDDED)}
        self._environ = {**kept, "KAFKA_BROKERS": broker.address, "KAFKA_FETCH_MAX_WAIT_MS": "50"}
        where = f"at {broker.address}, topic {self._settings.topic}, log file {broker.log}"
        self._say("broker", f"started as process {broker.pid} {where}")

    def _watch_broker(self, broker: EmbeddedBroker) -> None:
        code = broker.wait()
        if not self._stopping:
            write_lines("broker", broker.log_tail())
        self._events.put(RunError(f"broker ended unexpectedly with exit status {code}"))

    def _start(self, name: str, command: Sequence[str], ends: ExitStack) -> None:
        child = Child(command, env=self._environ, cwd=ROOT, grace_seconds=_GRACE_SECONDS[name])
        self._children.append(child)
        relay = threading.Thread(target=self._relay, args=(name, child), daemon=True)
        relay.start()
        ends.callback(child.stop)
        ends.callback(_join, relay)
        ends.callback(child.terminate)
        self._say(name, f"started as process {child.pid}")

    def _say(self, name: str, text: str) -> None:
        """Print text; request the end when the terminal or the reader of the pipe has closed standard output."""
        if not write_lines(name, text):
            self.request_stop()

    def _relay(self, name: str, child: Child) -> None:
        assert child.output is not None
        for line in child.output:
            self._say(name, line.decode(errors="replace").rstrip())
        self._events.put(RunError(f"{name} ended unexpectedly with exit status {child.wait()}"))

    def _terminate(self) -> None:
        """Terminate all children at once; the caller then waits for one after the other."""
        self._stopping = True
        if self._children:
            write_lines("run", "stopping; press Ctrl-C again to kill all processes")
        for child in self._children:
            child.terminate()

    def _wait_for_event(self, timeout: float) -> None:
        """Raise the next event; return when there is none for `timeout` seconds."""
        try:
            raise self._events.get(timeout=timeout)
        except queue.Empty:
            pass

    def _wait_until_ready(self) -> None:
        begin = time.monotonic()
        reminder = Reminder(begin)
        while why := self._not_ready():
            self._wait_for_event(_POLL_SECONDS)
            now = time.monotonic()
            if now - begin > _READY_SECONDS and self._own_broker:
                raise RunError(f"not ready after {_READY_SECONDS:g} s: {why}")
            if reminder.end_pause(now):
                advice = "" if self._own_broker else "; `flask --app app doctor` finds the reason"
                self._say("run", f"waiting for http://{self._authority()}/readyz: {why}{advice}")

    def _not_ready(self) -> str:
        """Return what is missing; an empty text when /readyz answers 200."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=2)
        try:
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            return "" if answer.status == http.HTTPStatus.OK else _reason(answer)
        except (OSError, http.client.HTTPException) as error:
            return f"no answer yet ({error or type(error).__name__})"
        finally:
            connection.close()


def _join(thread: threading.Thread) -> None:
    while thread.is_alive():
        thread.join(_LOOK_SECONDS)


def _reason(answer: http.client.HTTPResponse) -> str:
    try:
        return str(json.loads(answer.read())["error"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status}"


if __name__ == "__main__":
    _USAGE.parse_args()
    sys.exit(main())
