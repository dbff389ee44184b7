"""An eager client: streams and polls of others, alone and beside 10,000 attempts of one address, here or elsewhere."""

import contextlib
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

from demo.broker import free_port

from .fairness import POLLING
from .figures import OURS, Figure
from .group import listens, until
from .peers.greenwave import Greenwave
from .probe import Probe
from .processes import Crowd, Feeder, Helper
from .window import Window, measured
from .world import World

STREAMS = 200
RATE = 50.0
ATTEMPTS = 10_000
SECONDS = 10.0
ADDRESS = "127.0.0.2"
WARM_SECONDS = 4.0

TITLE = "An eager client"
ABOUT = f"""{STREAMS} streams with {RATE:g} messages per second, and a client that polls every 50 ms on new connections,
are measured for {SECONDS:g} s *alone*, and then *beside {ATTEMPTS:,} attempts* of one other address in the same time,
each a poll on a new connection. The limits per client are the defaults, so most attempts are refused (429). The
attacker, the clients, the producer and the broker share the machine with the server. What that alone costs is measured
*beside as many attempts elsewhere*: at a server that only refuses."""
RATIOS = ()


class Limited(Greenwave):
    """The product with its limits per client for all addresses but one."""

    settings: Mapping[str, str] = {**Greenwave.settings, "CLIENT_LIMITS_EXEMPT": "127.0.0.1"}


def run(world: World) -> list[Figure]:
    """Measure one round."""
    with Limited(world, world.topic(), STREAMS) as peer, Feeder(peer, RATE) as feeder:
        with Crowd(peer, STREAMS) as crowd:
            time.sleep(WARM_SECONDS)
            alone = _window(peer, feeder, crowd)
            with _refuser() as (port, refuser):
                elsewhere, _ = _attacked(peer, feeder, crowd, port, [refuser.pid])
            beside, statuses = _attacked(peer, feeder, crowd, peer.port, [])
        stamps = feeder.stamps()
    made = sum(statuses.values())
    share = statuses.get("429", 0) / made
    return [
        *_figures("alone", alone, alone, stamps),
        *_figures("beside as many attempts elsewhere", elsewhere, alone, stamps),
        *_figures(f"beside {ATTEMPTS:,} attempts", beside, alone, stamps),
        Figure("eager", f"beside {ATTEMPTS:,} attempts", OURS, "attempts refused, %", 100 * share),
    ]


@contextlib.contextmanager
def _refuser() -> Iterator[tuple[int, Helper]]:
    port = free_port()
    with Helper([sys.executable, "-m", "bench.programs.refuser", str(port)]) as refuser:
        until(lambda: listens(port), 10, "the server that refuses")
        yield port, refuser


def _attacked(
    peer: Greenwave, feeder: Feeder, crowd: Crowd, port: int, others: Sequence[int]
) -> tuple[tuple[Window, Probe], dict[str, int]]:
    """Measure while one address makes attempts at a port; return the answers that it got, by status, too."""
    command = ["-m", "bench.programs.eager", str(port), POLLING, ADDRESS, str(ATTEMPTS / SECONDS)]
    with Helper([sys.executable, *command]) as eager:
        time.sleep(WARM_SECONDS)
        measured_then = _window(peer, feeder, crowd, [eager.pid, *others])
        statuses: dict[str, int] = json.loads(eager.finish())
    return measured_then, statuses


def _window(peer: Greenwave, feeder: Feeder, crowd: Crowd, others: Sequence[int] = ()) -> tuple[Window, Probe]:
    probe = Probe(peer.port, (POLLING,))
    with probe.running():
        return measured(peer, feeder, crowd, SECONDS, others), probe


def _figures(case: str, found: tuple[Window, Probe], alone: tuple[Window, Probe], stamps: list[int]) -> list[Figure]:
    (window, probe), (window_alone, probe_alone) = found, alone
    got = window.clients
    values = {
        "p50, ms": got["p50"],
        "p99, ms": got["p99"],
        "p99, times that alone": got["p99"] / window_alone.clients["p99"],
        f"{POLLING} p99, ms": probe.p99(POLLING),
        f"{POLLING} p99, times that alone": probe.p99(POLLING) / probe_alone.p99(POLLING),
        "failed requests": probe.failed,
        "missed": window.sent(stamps) * STREAMS - got["delivered"],
        "doubled": got["doubled"],
        "CPU, ms per s": 1e6 * window.cpu_seconds * 1000 / (window.end - window.begin),
    }
    print(f"  {case}: {values}", flush=True)
    return [Figure("eager", case, OURS, unit, value) for unit, value in values.items()]
