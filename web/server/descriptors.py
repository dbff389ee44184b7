"""The limit of file descriptors (getrlimit(2)), and how many of them are for connections."""

import resource

OWN = 64
"""Descriptors for files, pipes, logs and libraries."""
PER_KAFKA_CLIENT = 16
"""Sockets to the brokers, with a selector and a pipe."""
IDLE_CONNECTIONS = 1_000
"""Connections beyond the number of threads, if the limit allows: idle ones, and responses that are read slowly."""
FEWEST_IDLE = 16


class Descriptors:
    """The descriptors of one worker; `limit` is the soft limit after `raise_limit()`."""

    def __init__(self, threads: int, kafka_clients: int) -> None:
        self._threads = threads
        # Besides its socket, a thread may open a file that it sends, or the selector of a WebSocket.
        self._reserve = OWN + threads + kafka_clients * PER_KAFKA_CLIENT
        self.wanted = threads + IDLE_CONNECTIONS + self._reserve
        self.limit = raise_limit(self.wanted)

    @property
    def connections(self) -> int:
        """How many connections a worker may have: what the limit leaves, and always more than threads."""
        return max(self._threads + FEWEST_IDLE, min(self.wanted, self.limit) - self._reserve)

    @property
    def warning(self) -> str | None:
        """The warning to log at start if the limit is low, else None."""
        if self.limit >= self.wanted:
            return None
        return (
            f"the limit of {self.limit} open files is low: connections are limited to {self.connections};"
            f" a hard limit (ulimit -Hn) of {self.wanted} is enough for WEB_THREADS={self._threads}"
        )


def raise_limit(wanted: int) -> int:
    """Raise the soft limit to `wanted`, or to the hard limit if that is lower; return the soft limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= target:
        return wanted if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
    return target
