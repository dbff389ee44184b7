"""The net clients below producers and admin clients of kafka-python, which don't close them after every error."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from kafka.net.compat import KafkaNetClient


class NetClients:
    """Creates net clients by `make`, and closes them."""

    def __init__(self, make: Callable[..., Any] = KafkaNetClient) -> None:
        self._make = make
        self._clients: list[Any] = []

    def create(self, **configs: Any) -> Any:
        """Create a net client; for the option `kafka_client` of kafka-python, which calls it in place of the class."""
        self._clients.append(self._make(**configs))
        return self._clients[-1]

    def lack_topic(self, topic: str) -> bool:
        """Return whether brokers have answered and know no such topic. Does no IO."""
        clusters = [client.cluster for client in self._clients]
        return any(cluster.brokers() and cluster.partitions_for_topic(topic) is None for cluster in clusters)

    def close(self) -> None:
        """Close the clients with their IO threads and sockets. Idempotent."""
        for client in self._clients:
            client.close()

    @contextlib.contextmanager
    def closed_on_error(self) -> Iterator[None]:
        """Close the clients when the block raises."""
        try:
            yield
        except BaseException:
            self.close()
            raise
