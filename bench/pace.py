"""Pace: streams that ask for one update per segment and interval, uncut and with 1,000 random cuts."""

import time

from .attempts import attempt, chosen, note
from .figures import OURS, Figure
from .http import head
from .messages import SEGMENTS
from .peers.base import Peer
from .processes import Crowd, Feeder
from .window import measured
from .world import World

EVERY_SECONDS = 5
RATE = 500.0
STREAMS = 100
CUTS = 1_000
CUT_SECONDS = 6.0
SETTLE_SECONDS = 2 * EVERY_SECONDS + 2

TITLE = "Pace"
ABOUT = f"""{STREAMS} streams with `every={EVERY_SECONDS}` under {RATE:g} messages per second of {SEGMENTS} segments,
which allows {SEGMENTS / EVERY_SECONDS:g} events per stream and second. Beside them, {STREAMS} streams are cut at
random, each after {CUT_SECONDS:g} s on average, and reconnect with `Last-Event-ID`, until there were {CUTS:,} cuts.
Then the messages end, and {SETTLE_SECONDS} s later *wrong* is the number of segments, over all of these streams,
whose last event is not the newest message of the segment."""
RATIOS = ()


def run(world: World) -> list[Figure]:
    """Measure one round."""
    case = f"every={EVERY_SECONDS}, {RATE:g} messages/s"
    figures: list[Figure] = []
    for kind in chosen(world):
        if kind.name == OURS:
            figures += attempt("pace", case, kind, 2 * STREAMS, lambda kind: _one(world, kind, case))
        else:
            figures.append(note("pace", case, kind.name, "has no pace"))
    return figures


def _one(world: World, kind: type[Peer], case: str) -> list[Figure]:
    with kind(world, world.topic(), 2 * STREAMS) as peer:
        path = f"{peer.path}?every={EVERY_SECONDS}"
        status = head(peer.port, path, {})[":status"]
        if status != "200":
            return [note("pace", case, peer.name, f"answers {status} to {path}")]
        with (
            Feeder(peer, RATE) as feeder,
            Crowd(peer, STREAMS, path=path) as steady,
            Crowd(
                *(peer, STREAMS, "--resume", "--cut", str(CUT_SECONDS), "--segments", str(SEGMENTS)),
                path=path,
            ) as cut,
        ):
            time.sleep(2 * EVERY_SECONDS)
            # The window is a multiple of the interval, so that each segment has the same number of turns in it.
            window = measured(peer, feeder, steady, 6 * EVERY_SECONDS)
            cuts = _cut_until(cut, CUTS)
            cut.say("calm")
            cut.answer()
            stamps = feeder.stamps()
            time.sleep(SETTLE_SECONDS)
            cut.say(f"state {len(stamps) - 1}")
            state = cut.answer()
    allowed = STREAMS * SEGMENTS / EVERY_SECONDS * 6 * EVERY_SECONDS
    values = {
        "events per stream and second": window.clients["events"] / STREAMS / (6 * EVERY_SECONDS),
        "of the rate allowed, %": 100 * window.clients["events"] / allowed,
        "cuts": cuts,
        "wrong": state["wrong"],
        "streams with wrong": state["wrong_clients"],
        "CPU, µs per event": window.cpu_micros,
    }
    print(f"  {case}, {peer.name}: {values}", flush=True)
    return [Figure("pace", case, peer.name, unit, value) for unit, value in values.items()]


def _cut_until(crowd: Crowd, count: int) -> int:
    """Wait until so many connections were cut, and return how many it were."""
    cuts = 0
    while cuts < count:
        now = time.time_ns() // 1000
        crowd.open_window(now, now + 2_000_000)
        cuts += crowd.result()["cuts"]
    return cuts
