"""What a run needs: Apache Kafka as a process, topics with messages, a scratch folder, and the options."""

import contextlib
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple, Self

from kafka import KafkaProducer

from tests.kafka.apache import ApacheKafka

PARTITIONS = 4


class Options(NamedTuple):
    """What the command line selects; the defaults measure everything."""

    cases: tuple[str, ...] = ()
    """Cases of the fan-out, each "CLIENTSxRATE"."""
    peers: tuple[str, ...] = ()
    streams: int = 10_000
    """Size of the measures with many streams: storm, idle, fairness, pace."""
    seconds: float = 5.0
    """Length of a window."""


class World:
    """A broker for the whole run; each server gets a topic of its own."""

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or Options()
        self._stack = contextlib.ExitStack()
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="greenwave-bench-")))
        self.kafka = ApacheKafka()
        self._filled: dict[tuple[int, int], str] = {}

    def __enter__(self) -> Self:
        self._stack.enter_context(self.kafka)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def broker(self) -> str:
        """The broker's address, host:port."""
        return self.kafka.address

    def topic(self) -> str:
        """Create a topic and return its name."""
        return self.kafka.create_topic(None, PARTITIONS)

    def filled_topic(self, values: Callable[[int], bytes], count: int, partitions: int) -> str:
        """Return a topic with this many messages in its first partitions; it is filled once and used in all rounds."""
        key = (count, partitions)
        if key not in self._filled:
            self._filled[key] = self.topic()
            self.publish(self._filled[key], map(values, range(count)), partitions)
        return self._filled[key]

    def publish(self, topic: str, values: Iterable[bytes], partitions: int = PARTITIONS) -> None:
        """Publish to the first partitions in turn, and wait for all acknowledgements."""
        producer = KafkaProducer(bootstrap_servers=self.broker, api_version=(2, 8), linger_ms=5, acks="all")
        try:
            sent = [producer.send(topic, value, partition=n % partitions) for n, value in enumerate(values)]
            for each in sent:
                each.get(30)
        finally:
            producer.close()
