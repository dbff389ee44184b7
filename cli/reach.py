"""Which brokers take a connection, why the others don't, and what to do about it."""

import socket
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

from consumer.settings import Settings

_CONNECT_SECONDS = 2.0


class Reached(NamedTuple):
    """What became of a connection to a broker; `advice` says what to do when there is none."""

    ok: bool
    said: str
    advice: str = ""


def reach(settings: Settings) -> list[tuple[str, Reached]]:
    """Try all brokers of the settings at once; return (host:port, result) of each within 3 s."""
    return _reach(settings.brokers, _correction(settings))


def reach_advertised(brokers: Sequence[str]) -> list[tuple[str, Reached]]:
    """Like reach(), for the addresses by which the cluster itself names its brokers."""
    correct = (
        "set advertised.listeners of that broker to an address that works from here; or make the name known to this "
        "host (DNS, /etc/hosts)"
    )
    return _reach(brokers, correct)


def _reach(brokers: Sequence[str], correct: str) -> list[tuple[str, Reached]]:
    results: dict[str, Reached] = {}
    threads = [
        threading.Thread(target=lambda name=name: results.update({name: _connect(name, correct)}), daemon=True)
        for name in brokers
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + _CONNECT_SECONDS + 0.5
    for thread in threads:
        # Looking up a name has no timeout of its own.
        thread.join(max(0.0, deadline - time.monotonic()))
    slow = _unresolved(f"no answer in {_CONNECT_SECONDS:g} s", correct)
    return [(name, results.get(name, slow)) for name in brokers]


def _connect(broker: str, correct: str) -> Reached:
    host, _, port = broker.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except TimeoutError:
        advice = f"a firewall or VPN may be in between, or the host is down; else {correct}"
        return Reached(False, f"no answer in {_CONNECT_SECONDS:g} s", advice)
    except ConnectionRefusedError:
        return Reached(False, "no connection: nothing listens there", f"start the broker, or {correct}")
    except socket.gaierror as error:
        return _unresolved(str(error.strerror or error), correct)
    except OSError as error:
        return Reached(False, f"no connection: {error.strerror or error}", f"look at the network, or {correct}")
    return Reached(True, "takes connections")


def _unresolved(why: str, correct: str) -> Reached:
    return Reached(False, f"its name can't be resolved: {why}", f"look at the network and its DNS, or {correct}")


def _correction(settings: Settings) -> str:
    """Return how to correct the address: with the name of the setting that it comes from."""
    if settings.kafka_brokers:
        return "correct KAFKA_BROKERS"
    if settings.kafka_url:
        return "correct KAFKA_URL"
    return "set KAFKA_BROKERS, which isn't set (the broker of `make run` is at the address that it shows)"
