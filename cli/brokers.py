"""Check which brokers accept TCP connections, and say why the others don't."""

import socket
import threading
import time
from collections.abc import Sequence

from consumer.settings import Settings

from .finding import Finding

_CONNECT_SECONDS = 2.0
_FIX_ADVERTISED = (
    "set advertised.listeners of that broker to an address that can be reached from here, or add the name to DNS or "
    "/etc/hosts"
)


def check_brokers(settings: Settings) -> list[Finding]:
    """Connect to all brokers of the settings at once; return a finding for each, within 3 s."""
    return _check(settings.brokers, _fix_settings(settings))


def check_advertised(brokers: Sequence[str]) -> list[Finding]:
    """Connect to the addresses that the cluster advertises; return a finding for each, within 3 s."""
    found = _check(brokers, _FIX_ADVERTISED)
    return [finding._replace(detail=f"advertised by the cluster; {finding.detail}") for finding in found]


def _check(brokers: Sequence[str], fix: str) -> list[Finding]:
    found: dict[str, Finding] = {}
    threads = [
        threading.Thread(target=lambda broker=broker: found.update({broker: _connect(broker, fix)}), daemon=True)
        for broker in brokers
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + _CONNECT_SECONDS + 0.5
    for thread in threads:
        # Looking up a name has no timeout of its own.
        thread.join(max(0.0, deadline - time.monotonic()))
    slow = f"no answer in {_CONNECT_SECONDS:g} s"
    return [found.get(broker) or _unresolved(broker, slow, fix) for broker in brokers]


def _connect(broker: str, fix: str) -> Finding:
    host, _, port = broker.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except TimeoutError:
        detail = f"connection timed out after {_CONNECT_SECONDS:g} s"
        return _failed(broker, detail, f"check that the host is up and that no firewall is in between, or {fix}")
    except ConnectionRefusedError:
        return _failed(broker, "connection refused: nothing listens there", f"start the broker, or {fix}")
    except socket.gaierror as error:
        return _unresolved(broker, str(error.strerror or error), fix)
    except OSError as error:
        return _failed(broker, f"connection failed: {error.strerror or error}", f"check the network, or {fix}")
    return Finding(True, f"broker {broker}", "accepts connections")


def _unresolved(broker: str, why: str, fix: str) -> Finding:
    return _failed(broker, f"the host name can't be resolved: {why}", f"check the network and its DNS, or {fix}")


def _failed(broker: str, detail: str, advice: str) -> Finding:
    return Finding(False, f"broker {broker}", detail, advice)


def _fix_settings(settings: Settings) -> str:
    """Return how to correct the address: with the name of the setting that it comes from."""
    if settings.kafka_brokers:
        return "correct KAFKA_BROKERS"
    if settings.kafka_url:
        return "correct KAFKA_URL"
    return "set KAFKA_BROKERS, which is not set (`make run` prints the address of its broker)"
