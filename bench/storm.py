"""Reconnect storm: a server restarts under load, and all of its streams come back with their cursors."""

import time

from .attempts import attempt, chosen, note
from .figures import Figure
from .messages import micros
from .peers.base import Peer
from .processes import Crowd, Feeder
from .window import sleep_until
from .world import World

RATE = 20.0
BEFORE_SECONDS = 3.0
WINDOW_SECONDS = 45.0
GRACE_SECONDS = 5.0
CONNECT_SECONDS = 60.0

TITLE = "Reconnect storm"
ABOUT = f"""A server with all streams connected and {RATE:g} messages per second gets SIGTERM and is started again at
once. The clients reconnect as an EventSource does: with the delay of `retry:` and with `Last-Event-ID`. *all live* is
the time from SIGTERM until every stream has received a message that was sent after it reconnected. *p99* is the
latency of all messages, those of the pause included. *missed* and *doubled* are counted exactly over
{WINDOW_SECONDS:g} s, which begin {BEFORE_SECONDS:g} s before SIGTERM."""
RATIOS = ()


def run(world: World) -> list[Figure]:
    """Measure one round."""
    case = f"{world.options.streams:,} streams"
    figures: list[Figure] = []
    for kind in chosen(world):
        if kind.resumes:
            figures += attempt("storm", case, kind, world.options.streams, lambda kind: _storm(world, kind, case))
        else:
            figures.append(note("storm", case, kind.name, "its streams do not continue after a restart"))
    return figures


def _storm(world: World, kind: type[Peer], case: str) -> list[Figure]:
    streams = world.options.streams
    numbers = str(int(2 * RATE * WINDOW_SECONDS) + 1_000)
    limits = ("--connect-seconds", str(CONNECT_SECONDS), "--grace", str(GRACE_SECONDS), "--numbers", numbers)
    with kind(world, world.topic(), streams) as peer, Feeder(peer, RATE) as feeder:
        with Crowd(peer, streams, "--resume", *limits) as crowd:
            time.sleep(2)
            begin = micros() + 200_000
            end = begin + int(WINDOW_SECONDS * 1e6)
            crowd.open_window(begin, end)
            sleep_until(begin + int(BEFORE_SECONDS * 1e6))
            restarted = micros()
            peer.restart()
            got = crowd.result()
            ready = crowd.ready
        stamps = feeder.stamps()
    expected = streams * sum(begin <= each < end for each in stamps)
    is_live = got["live"] == streams and got["live_again_at"]
    values = {
        "live before": ready["live"],
        "all live, s": (got["live_again_at"] - restarted) / 1e6 if is_live else float("nan"),
        "live at the end": got["live"],
        "p99, ms": got["p99"],
        "missed": expected - got["delivered"],
        "doubled": got["doubled"],
        "gaps": got["gaps"],
        "connections refused": got["refusals"],
    }
    print(f"  {case}, {peer.name}: {values}", flush=True)
    return [Figure("storm", case, peer.name, unit, value) for unit, value in values.items()]
