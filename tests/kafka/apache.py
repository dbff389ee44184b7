"""Apache Kafka 4 for the tests: one node in KRaft mode, as a process with Java 17 or in Docker.

The process comes from Maven Central by pom.xml beside this file, into a cache outside the tree. Where a Docker engine
answers, the same version runs in a container instead (through testcontainers); GREENWAVE_TEST_KAFKA=process or =docker
decides it by hand. If neither can be had the tests fail: they are never skipped.
"""

import contextlib
import gc
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kafka.admin import KafkaAdminClient, NewPartitions, NewTopic
from kafka.errors import InvalidReplicationFactorError, KafkaError
from kafka.net.compat import KafkaNetClient

import consumer.sources.hooks  # noqa: F401, the connections of proxy_url
from demo.broker import free_port
from tests.stopping import stop_process

HERE = Path(__file__).resolve().parent
POM = HERE / "pom.xml"
START_SECONDS = 90.0


class KafkaUnavailable(Exception):
    """Apache Kafka could not be started; the text says why and what to do."""


def version() -> str:
    """Return the version of Apache Kafka that pom.xml names."""
    namespace = {"m": "http://maven.apache.org/POM/4.0.0"}
    return ET.parse(POM).getroot().findtext("m:properties/m:kafka.version", namespaces=namespace) or ""


def jars() -> Path:
    """Return the folder with Apache Kafka's jars, fetched once into the cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "greenwave"
    folder = cache / f"kafka-{version()}"
    if folder.is_dir():
        return folder
    for tool in ("mvn", "java"):
        if shutil.which(tool) is None:
            raise KafkaUnavailable(f"{tool} is not installed; Apache Kafka needs Java 17 and Maven, or Docker")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        target = Path(scratch) / "lib"
        command = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={target}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise KafkaUnavailable(f"Maven could not fetch Apache Kafka {version()}:\n{done.stdout[-2000:]}")
        with contextlib.suppress(OSError):  # another run was faster, and its folder is as good
            target.rename(folder)
    return folder


def archive() -> Path:
    """Return where the archive of Kafka's loaded classes is, for this Java; prepare.py makes it.

    With it a node starts in half the time.
    """
    java = Path(shutil.which("java") or "java").resolve()
    name = hashlib.sha256(f"{java} {java.stat().st_mtime_ns if java.exists() else ''}".encode()).hexdigest()[:8]
    return jars().with_name(f"kafka-{version()}-{name}.jsa")


class Admin:
    """What the tests do to a broker's topics."""

    address: str
    admin_options: dict[str, Any]

    def create_topic(self, name: str | None = None, partitions: int = 4, **config: str) -> str:
        """Create a topic and return its name, once a broker takes partitions.

        None does until the controller has its first heartbeat, or has it again after the machine was busy for 9 s
        (`broker.session.timeout.ms`).
        """
        topic = NewTopic(name or f"topic-{uuid.uuid4().hex[:8]}", partitions, 1, topic_configs=config)
        deadline = time.monotonic() + START_SECONDS
        with self.admin() as admin:
            while True:
                try:
                    admin.create_topics([topic])
                    return str(topic.name)
                except InvalidReplicationFactorError:
                    if time.monotonic() > deadline:
                        raise
                time.sleep(0.1)

    def delete_topic(self, name: str) -> None:
        """Delete a topic."""
        with self.admin() as admin:
            admin.delete_topics([name])

    def add_partitions(self, name: str, total: int) -> None:
        """Raise a topic's partitions to a total."""
        with self.admin() as admin:
            admin.create_partitions({name: NewPartitions(total)})

    def set_topic(self, name: str, **config: str) -> None:
        """Change a topic's configuration, and wait until the broker applies it."""
        from kafka.admin import ConfigResource, ConfigResourceType

        topic = ConfigResource(ConfigResourceType.TOPIC, name, configs=config)
        with self.admin() as admin:
            admin.alter_configs([topic])
            deadline = time.monotonic() + START_SECONDS
            while _values(admin.describe_configs([topic], config_filter="all"), name) != config:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the broker does not apply {config} to {name}")
                time.sleep(0.02)

    @contextlib.contextmanager
    def admin(self) -> Any:
        """Open an admin client for a moment."""
        clients: list[Any] = []

        def keep(**configs: Any) -> Any:
            clients.append(KafkaNetClient(**configs))
            return clients[-1]

        options = {
            "bootstrap_servers": self.address,
            "api_version": (2, 8),
            "request_timeout_ms": 10_000,
            "proxy_url": "direct://",  # by the class of connections that closes the socket of one that fails
        }
        try:
            admin = KafkaAdminClient(**options, kafka_client=keep, **self.admin_options)
        except BaseException:
            for client in clients:  # a constructor that fails leaves its IO thread and its sockets
                client.close()
            raise
        try:
            yield admin
        finally:
            admin.close()

    def answers(self) -> bool:
        """Tell whether the broker answers a request for its topics."""
        try:
            with self.admin() as admin:
                admin.list_topics()
        except (KafkaError, OSError):
            return False
        return True


def _values(described: Any, name: str) -> dict[str, str]:
    """Return the values of a topic's settings from the answer of describe_configs()."""
    return {key: each["value"] for topics in described.values() for key, each in topics[name].items()}


class ApacheKafka(Admin):
    """A node as a process of ours; it can be killed, stopped, and started again with its data.

    `extra` are lines for server.properties, `listeners` maps a listener's name to its security protocol, beside the
    plain one; `ports` tells where each listens. With `first` it is another node of that one's cluster, and only a
    broker.
    """

    def __init__(
        self,
        extra: dict[str, str] | None = None,
        listeners: dict[str, str] | None = None,
        first: "ApacheKafka | None" = None,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="greenwave-kafka-"))
        self.admin_options = {}
        self.ports = {name: free_port() for name in ("PLAIN", "CONTROLLER", *(listeners or {}))}
        self.address = f"127.0.0.1:{self.ports['PLAIN']}"
        self._protocols = {"PLAIN": "PLAINTEXT", "CONTROLLER": "PLAINTEXT", **(listeners or {})}
        self._extra = {**(first.invitation() if first else {}), **(extra or {})}
        self.cluster: str = first.cluster if first else uuid.uuid4().hex[:22]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "ApacheKafka":
        try:
            self.format()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    def format(self, *options: str) -> None:
        """Write the configuration and format the storage."""
        properties = self.folder / "server.properties"
        properties.write_text("".join(f"{name}={value}\n" for name, value in self._properties().items()))
        done = subprocess.run(
            [*self._java("kafka.tools.StorageTool"), "format", "-t", self.cluster, "-c", str(properties), *options],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise KafkaUnavailable(f"the storage could not be formatted:\n{done.stdout}\n{done.stderr}")

    def invitation(self) -> dict[str, str]:
        """Return the properties of another node that joins this one."""
        return {
            "node.id": "2",
            "process.roles": "broker",
            "controller.quorum.voters": self._properties()["controller.quorum.voters"],
        }

    def start(self, wait: bool = True) -> None:
        """Start the node, and wait until it answers."""
        with open(self.folder / "log", "ab") as output:
            self._process = subprocess.Popen(
                [*self._java("kafka.Kafka"), str(self.folder / "server.properties")],
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        if wait:
            self.wait()

    def wait(self, seconds: float = START_SECONDS) -> None:
        """Wait until the node answers."""
        deadline = time.monotonic() + seconds
        while not self._listens() or not self.answers():
            if time.monotonic() > deadline or (self._process and self._process.poll() is not None):
                raise KafkaUnavailable(
                    f"Apache Kafka does not answer at {self.address}; its log ends:\n{self.log_tail()}"
                )
            time.sleep(0.1)

    def kill(self) -> None:
        """Kill the node at once, as kill -9 does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """End the node in good order."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def pause(self) -> None:
        """Stop it without ending it (SIGSTOP): connections stay, nothing answers."""
        stop_process(self.pid)

    def resume(self) -> None:
        """Let it go on (SIGCONT)."""
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """End it and remove its data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log_tail(self, lines: int = 30) -> str:
        """Return the end of its log."""
        log = self.folder / "log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else "(no log)"

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.ports["PLAIN"]), 1):
            return True
        return False

    def _java(self, main: str) -> list[str]:
        classes = archive()
        return [
            "java",
            "-Xmx768m",
            "-Xms256m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            *([f"-XX:SharedArchiveFile={classes}"] if classes.exists() else []),
            f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}",
            "-cp",
            f"{jars()}/*",
            main,
        ]

    def _properties(self) -> dict[str, str]:
        listeners = [f"{name}://127.0.0.1:{port}" for name, port in self.ports.items()]
        public = ",".join(each for each in listeners if not each.startswith("CONTROLLER"))
        is_controller = "process.roles" not in self._extra
        protocols = [f"{name}:{protocol}" for name, protocol in self._protocols.items()]
        return {
            "node.id": "1",
            "process.roles": "broker,controller",
            "controller.quorum.voters": f"1@127.0.0.1:{self.ports['CONTROLLER']}",
            "controller.listener.names": "CONTROLLER",
            "listeners": ",".join(listeners) if is_controller else public,
            "advertised.listeners": public,
            "listener.security.protocol.map": ",".join(protocols),
            "inter.broker.listener.name": "PLAIN",
            "log.dirs": str(self.folder / "data"),
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "1",
            "group.initial.rebalance.delay.ms": "0",
            # After a kill -9 the controller waits for the end of the dead node's session before it takes it back.
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
            "num.network.threads": "2",
            "num.io.threads": "4",
            # Retention and compaction are tested, so they must not take their usual minutes.
            "log.retention.check.interval.ms": "500",
            "log.segment.delete.delay.ms": "100",
            "log.initial.task.delay.ms": "500",
            "log.cleaner.backoff.ms": "500",
            **self._extra,
        }


@contextlib.contextmanager
def cluster(size: int) -> Iterator[list[ApacheKafka]]:
    """Run several nodes of one cluster; the first one is its controller, too."""
    first = ApacheKafka()
    nodes = [first, *(ApacheKafka({"node.id": str(number)}, first=first) for number in range(2, size + 1))]
    with contextlib.ExitStack() as stack:
        for node in nodes:
            stack.callback(node.close)
            node.format()
            node.start(wait=False)
        for node in nodes:
            node.wait()
        yield nodes


class DockerKafka(Admin):
    """A node in a container, through testcontainers. It runs only where a Docker engine answers.

    It has the interface of ApacheKafka: kill, restart and pause act on the container.
    """

    def __init__(self) -> None:
        from testcontainers.core.container import DockerContainer

        self.admin_options = {}
        self._port = free_port()
        self.address = f"127.0.0.1:{self._port}"
        self._container = DockerContainer(f"apache/kafka:{version()}").with_bind_ports(9092, self._port)
        for name, value in self._environment().items():
            self._container = self._container.with_env(name, value)

    def __enter__(self) -> "DockerKafka":
        self._container.start()
        self.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, wait: bool = True) -> None:
        """Start the container again."""
        self._container.get_wrapped_container().start()
        if wait:
            self.wait()

    def wait(self, seconds: float = START_SECONDS) -> None:
        """Wait until the node answers."""
        deadline = time.monotonic() + seconds
        while not self.answers():
            if time.monotonic() > deadline:
                raise KafkaUnavailable(f"Apache Kafka in Docker does not answer; its log ends:\n{self.log_tail()}")
            time.sleep(0.2)

    def kill(self) -> None:
        """Kill the container's process."""
        self._container.get_wrapped_container().kill()

    def stop(self) -> None:
        """End it in good order."""
        self._container.get_wrapped_container().stop()

    def pause(self) -> None:
        """Freeze it."""
        self._container.get_wrapped_container().pause()

    def resume(self) -> None:
        """Let it go on."""
        self._container.get_wrapped_container().unpause()

    def close(self) -> None:
        """End it and remove it."""
        self._container.stop()

    def log_tail(self, lines: int = 30) -> str:
        """Return the end of its log."""
        text = b"".join(self._container.get_logs()).decode(errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def _environment(self) -> dict[str, str]:
        return {
            "KAFKA_NODE_ID": "1",
            "KAFKA_PROCESS_ROLES": "broker,controller",
            "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
            "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
            "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
            "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{self.address}",
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
            "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
            "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
            "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
            "KAFKA_LOG_RETENTION_CHECK_INTERVAL_MS": "500",
            "KAFKA_LOG_SEGMENT_DELETE_DELAY_MS": "100",
            "KAFKA_LOG_INITIAL_TASK_DELAY_MS": "500",
        }


def docker_answers() -> bool:
    """Tell whether a Docker engine answers."""
    import docker

    with warnings.catch_warnings():
        # docker-py leaves the socket of a connection that failed to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            with contextlib.closing(docker.from_env(timeout=3)) as client:
                return bool(client.ping())
        except (docker.errors.DockerException, OSError):
            return False
        finally:
            gc.collect()


def choose(environ: Any = os.environ, docker_there: Any = docker_answers) -> type[ApacheKafka] | type[DockerKafka]:
    """Return the kind of node to run: as GREENWAVE_TEST_KAFKA says, else Docker where it answers, else a process."""
    wanted = environ.get("GREENWAVE_TEST_KAFKA", "")
    if wanted not in ("", "docker", "process"):
        raise KafkaUnavailable(f"GREENWAVE_TEST_KAFKA={wanted!r} can't be used; allowed: docker, process")
    if wanted == "docker" and not docker_there():
        raise KafkaUnavailable("GREENWAVE_TEST_KAFKA=docker, but no Docker engine answers")
    return DockerKafka if wanted == "docker" or (not wanted and docker_there()) else ApacheKafka
