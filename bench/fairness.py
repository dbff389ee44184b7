"""Fairness: streams measured alone, and beside clients that stall, come and go, or replay a long past from Kafka."""

import contextlib
import time

from .attempts import attempt, chosen
from .figures import OURS, Figure
from .http import get_json
from .messages import message, micros
from .peers.base import Peer
from .probe import Probe
from .processes import Crowd, Feeder
from .window import Window, measured
from .world import World

MEASURED = 200
RATE = 50.0
PAST = 60_000
VISIT_SECONDS = 2.0
REPLAY_SECONDS = 5.0
WARM_SECONDS = 4.0
HEALTH, POLLING = "/healthz", "/api/predictions"

TITLE = "Fairness"
ABOUT = f"""{MEASURED} streams with {RATE:g} messages per second are measured *alone*, then beside each kind of others
by itself, and then beside all of them. A tenth of the case's number stalled: they never read. A tenth come and go, each
for {VISIT_SECONDS:g} s on average; while they are there, they get all messages, too. A two-hundredth replay: they
continue at a cursor {PAST:,} messages back, each for {REPLAY_SECONDS:g} s on average, again and again. Only Greenwave
replays. `{HEALTH}` and `{POLLING}` are requested every 50 ms on new connections; the product runs with 16 threads."""
RATIOS = ("p50, ms", "p99, ms")


def run(world: World) -> list[Figure]:
    """Measure one round."""
    case = f"{world.options.streams:,}"
    return [
        figure
        for kind in chosen(world)
        for figure in attempt("fairness", case, kind, MEASURED + world.options.streams // 5, lambda k: _one(world, k))
    ]


def _one(world: World, kind: type[Peer]) -> list[Figure]:
    streams, is_ours = world.options.streams, kind.name == OURS
    with contextlib.ExitStack() as stack:
        peer = stack.enter_context(kind(world, world.topic(), MEASURED + streams // 5 + streams // 200))
        others = _others(streams, old_cursor(world, peer) if is_ours else None)
        feeder = stack.enter_context(Feeder(peer, RATE))
        crowd = stack.enter_context(Crowd(peer, MEASURED))
        time.sleep(WARM_SECONDS)
        found = {"alone": _window(world, peer, feeder, crowd)}
        for chosen_ones in [*([each] for each in others), list(others)]:
            with contextlib.ExitStack() as beside:
                for each in chosen_ones:
                    count, options = others[each]
                    beside.enter_context(Crowd(peer, count, *options, "--connect-seconds", "10"))
                time.sleep(WARM_SECONDS)
                name = "all of these" if len(chosen_ones) > 1 else chosen_ones[0]
                found[f"beside {name}"] = _window(world, peer, feeder, crowd)
        stamps = feeder.stamps()
    alone, _ = found["alone"]
    return [
        figure
        for case, (window, probe) in found.items()
        for figure in _figures(peer, case, window, probe, stamps, alone)
    ]


def _others(streams: int, cursor: str | None) -> dict[str, tuple[int, tuple[str, ...]]]:
    """Return the number and the options of each kind of other clients; none replay without a cursor."""
    tenth, few = streams // 10, streams // 200
    visits = ("--cut", str(VISIT_SECONDS), "--ready-when-open")
    others: dict[str, tuple[int, tuple[str, ...]]] = {
        f"{tenth:,} that stall": (tenth, ("--stall",)),
        f"{tenth:,} that come and go": (tenth, visits),
    }
    if cursor is not None:
        replay = ("--header", f"Last-Event-ID: {cursor}", "--cut", str(REPLAY_SECONDS), "--ready-when-open")
        others[f"{few:,} that replay"] = (few, replay)
    return others


def old_cursor(world: World, peer: Peer) -> str:
    """Publish a past of which the server keeps only the end in memory; return a cursor before it."""
    world.publish(peer.topic, (message(number, micros()) for number in range(10)))
    wait_for(peer, 10)
    cursor = str(get_json(peer.port, POLLING)["data"]["cursor"])
    world.publish(peer.topic, (message(number, micros()) for number in range(PAST)))
    wait_for(peer, 10 + PAST)
    return cursor


def wait_for(peer: Peer, count: int) -> None:
    deadline = time.monotonic() + 60
    while get_json(peer.port, "/api/health")["data"]["buffer"]["received"] < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{peer.name} did not read {count} messages within 60 s")
        time.sleep(0.1)


def _window(world: World, peer: Peer, feeder: Feeder, crowd: Crowd) -> tuple[Window, Probe]:
    probe = Probe(peer.port, (HEALTH, POLLING) if peer.name == OURS else ())
    with probe.running():
        return measured(peer, feeder, crowd, world.options.seconds), probe


def _figures(peer: Peer, case: str, window: Window, probe: Probe, stamps: list[int], alone: Window) -> list[Figure]:
    got = window.clients
    values = {
        "p50, ms": got["p50"],
        "p99, ms": got["p99"],
        "p99, times that alone": got["p99"] / alone.clients["p99"],
        "missed": window.sent(stamps) * MEASURED - got["delivered"],
        "doubled": got["doubled"],
        "CPU, ms per s": 1e6 * window.cpu_seconds * 1000 / (window.end - window.begin),
        "memory, MB": window.memory_mb,
    }
    for path in probe.times:
        values[f"{path} p99, ms"] = probe.p99(path)
    if probe.times:
        values["failed requests"] = probe.failed
    print(f"  {case}, {peer.name}: {values}", flush=True)
    return [Figure("fairness", case, peer.name, unit, value) for unit, value in values.items()]
