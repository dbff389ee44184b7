"""The limit of file descriptors (getrlimit(2)), and how many of them are for connections and for streams."""

import resource
import sys

OWN = 64
"""Descriptors for files, pipes, logs and libraries."""
PER_THREAD = 2
"""Besides the socket of its client, a thread may open a file that it sends, or a pair of sockets."""
PER_KAFKA_CLIENT = 16
"""Sockets to the brokers, with a selector and a pipe."""
IDLE_CONNECTIONS = 1_000
"""Connections beyond threads and streams, if the limit allows: idle ones, and responses that are read slowly."""
FEWEST_IDLE = 16
"""Connections that neither threads nor streams can take: for health checks and polls."""


class Descriptors:
    """How one worker divides its descriptors; `limit` is the soft limit of open files."""

    def __init__(self, threads: int, max_streams: int, kafka_clients: int) -> None:
        self._threads, self._max_streams = threads, max_streams
        self._reserve = OWN + threads * PER_THREAD + kafka_clients * PER_KAFKA_CLIENT
        self.wanted = self._reserve + threads + IDLE_CONNECTIONS + max_streams
        self.limit = soft_limit()

    def raise_limit(self) -> None:
        """Raise the soft limit to what is wanted, or to the hard limit if that is lower."""
        self.limit = raise_limit(self.wanted)

    @property
    def connections(self) -> int:
        """How many sockets of clients a worker may have, streams included: always more than threads."""
        return max(self._threads + FEWEST_IDLE, min(self.wanted, self.limit) - self._reserve)

    @property
    def streams(self) -> int:
        """MAX_STREAMS, or fewer if the limit is low."""
        return min(self._max_streams, streams_within(self.connections, self._threads))

    @property
    def warning(self) -> str | None:
        """The warning to log at start if the limit is low, else None."""
        if self.limit >= self.wanted:
            return None
        reduced = f", and MAX_STREAMS={self._max_streams} is reduced to {self.streams}"
        return (
            f"the limit of {self.limit} open files is low: connections are limited to {self.connections}"
            f"{reduced if self.streams < self._max_streams else ''};"
            f" a hard limit (ulimit -Hn) of {self.wanted} is enough"
            f" for MAX_STREAMS={self._max_streams} and WEB_THREADS={self._threads}"
        )


def streams_within(connections: int, threads: int) -> int:
    """Return how many of a worker's connections streams may take: some always remain for requests."""
    return max(1, connections - threads - FEWEST_IDLE)


def soft_limit() -> int:
    """Return the soft limit of open files."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def raise_limit(wanted: int) -> int:
    """Raise the soft limit to `wanted`, or to the hard limit if that is lower; return the soft limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft_limit() < target:
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
    return soft_limit()
