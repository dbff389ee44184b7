"""The sockets of the Kafka client's connections, with less work for each request and answer.

The client leaves each request to a task that first waits until the socket is writable, and registers a socket with its
selector again for each answer. That takes more time than the system calls that send and receive. Private names of
kafka-python used here: `_current`, and of a transport `_closed`, `_net`, `_protocol`, `_read`, `_read_from_sock`,
`_sock`, `_sock_recv` and `_writing`.
"""

import functools
import time
from collections.abc import Callable
from typing import Any

from kafka.errors import KafkaProtocolError
from kafka.net.selector import KernelEvent, NetworkSelector, TaskState


class Selector(NetworkSelector):  # type: ignore[misc]
    """The client's loop, in which a task can also wait for a socket that stays registered."""

    def wait_for_reader(self) -> None:
        """Suspend the current task until the socket for which it was registered is readable."""
        self._current.state = TaskState.WAIT_IO


def hasten(transport: Any) -> None:
    """Put the hooks into a transport that is not read yet."""
    transport.write = functools.partial(_write, transport, transport.write)
    transport._read_from_sock = functools.partial(_read, transport)


def _write(transport: Any, write_later: Callable[[Any], None], data: bytes) -> None:
    """Send what the socket takes at once, and leave the rest to the client's task."""
    sent = 0
    if not transport._writing and not transport.is_closing():
        try:
            sent = transport._sock.send(data)
        except OSError:
            sent = 0  # it takes nothing now, or is broken, which the task finds out as well
    if sent < len(data):
        write_later(memoryview(data)[sent:])
    else:
        transport.last_write = time.monotonic()


async def _read(transport: Any) -> None:
    """Read until the transport closes, as the client does, but register the socket once."""
    net, sock = transport._net, transport._sock
    net.add_reader(sock, net._current)
    try:
        while transport._read and not transport._closed:
            await KernelEvent("wait_for_reader")
            data, error = transport._sock_recv()
            if error:
                transport.abort(error=error)
                return
            transport.last_read = time.monotonic()
            try:
                transport._protocol.data_received(data)
            except KafkaProtocolError as protocol_error:
                transport.abort(error=protocol_error)
                return
    finally:
        net.remove_reader(sock)
