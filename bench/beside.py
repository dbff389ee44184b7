"""Live streams beside work on the past: ten clients that replay, and a backlog that the consumer reads."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from kafka import KafkaProducer

from .attempts import attempt, chosen
from .fairness import old_cursor, wait_for
from .figures import OURS, Figure
from .http import get_json
from .messages import message, micros
from .peers.base import Peer
from .peers.greenwave import Greenwave
from .processes import Crowd, Feeder
from .window import Window, measured, sleep_until
from .world import PARTITIONS, World

MEASURED = 200
RATE = 50.0
REPLAYING = 10
REPLAY_SECONDS = 5.0
BACKLOG = 300_000
WARM_SECONDS = 2.0
OWN, OTHER = b'"horizon_minutes":15', b'"horizon_minutes":30'

TITLE = "Streams beside the past"
ABOUT = f"""{MEASURED} streams with {RATE:g} messages per second (`horizon=15`) are measured *alone*, *beside replays*
and *beside a backlog*. {REPLAYING} clients replay: they continue at an old cursor, each for {REPLAY_SECONDS:g} s on
average, again and again. The backlog of {BACKLOG:,} messages (horizon 30) appears at once: it is published to a
partition of its own in one transaction, and the consumer reads committed messages only. *messages read per s* counts
all messages that the consumer reads in that time."""
RATIOS = ("p50, ms", "p99, ms")


class Committed(Greenwave):
    """The product as a reader of committed messages."""

    settings: Mapping[str, str] = {**Greenwave.settings, "KAFKA_ISOLATION_LEVEL": "read_committed"}


def run(world: World) -> list[Figure]:
    """Measure one round; only Greenwave has filters and replays."""
    kinds = [Committed for kind in chosen(world) if kind.name == OURS]
    return [figure for kind in kinds for figure in attempt("beside", "all", kind, MEASURED, lambda k: _one(world, k))]


def _one(world: World, kind: type[Peer]) -> list[Figure]:
    topic = world.kafka.create_topic(None, PARTITIONS + 1)
    with contextlib.ExitStack() as stack:
        peer = stack.enter_context(kind(world, topic, MEASURED + REPLAYING))
        cursor = old_cursor(world, peer)
        commit = stack.enter_context(_hidden_backlog(world, topic))
        feeder = stack.enter_context(Feeder(peer, RATE))
        crowd = stack.enter_context(Crowd(peer, MEASURED, path=f"{peer.path}?horizon=15"))
        sleep_until(micros() + int(WARM_SECONDS * 1e6))
        windows = {"alone": _window(world, peer, feeder, crowd)}
        old = ("--header", f"Last-Event-ID: {cursor}", "--cut", str(REPLAY_SECONDS), "--ready-when-open")
        with Crowd(peer, REPLAYING, *old, "--connect-seconds", "10"):
            windows[f"beside {REPLAYING} replays"] = _window(world, peer, feeder, crowd)
        before = _received(peer)
        commit()
        wait_for(peer, before + BACKLOG // 100)
        windows["beside a backlog"] = _window(world, peer, feeder, crowd)
        stamps = feeder.stamps()
    return [figure for case, (window, read) in windows.items() for figure in _figures(peer, case, window, read, stamps)]


@contextmanager
def _hidden_backlog(world: World, topic: str) -> Iterator[Callable[[], None]]:
    """Publish the backlog in a transaction; yield what commits it."""
    producer = KafkaProducer(
        bootstrap_servers=world.broker,
        linger_ms=5,
        transactional_id=f"backlog of {topic}",
        transaction_timeout_ms=300_000,
    )
    try:
        producer.init_transactions()
        producer.begin_transaction()
        for number in range(BACKLOG):
            producer.send(topic, message(number, micros()).replace(OWN, OTHER), partition=PARTITIONS)
        producer.flush()
        yield producer.commit_transaction
    finally:
        producer.close()


def _received(peer: Peer) -> int:
    return int(get_json(peer.port, "/api/health")["data"]["buffer"]["received"])


def _window(world: World, peer: Peer, feeder: Feeder, crowd: Crowd) -> tuple[Window, float]:
    before, begin = _received(peer), time.monotonic()
    window = measured(peer, feeder, crowd, world.options.seconds)
    return window, (_received(peer) - before) / (time.monotonic() - begin)


def _figures(peer: Peer, case: str, window: Window, read: float, stamps: list[int]) -> list[Figure]:
    got = window.clients
    values = {
        "p50, ms": got["p50"],
        "p99, ms": got["p99"],
        "missed": window.sent(stamps) * MEASURED - got["delivered"],
        "doubled": got["doubled"],
        "messages read per s": read,
        "CPU, ms per s": 1e6 * window.cpu_seconds * 1000 / (window.end - window.begin),
    }
    print(f"  {case}, {peer.name}: {values}", flush=True)
    return [Figure("beside", case, peer.name, unit, value) for unit, value in values.items()]
