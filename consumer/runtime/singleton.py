"""The consumer of this process: the one module with mutable global state, behind three verbs.

The lock guards which consumer that is, and is never held during a wait. Making the consumer under it reads files that
the settings name. A forked child has no thread of its parent, and a lock that may be held for ever: it gets a new lock
and no consumer, and its first start() makes one.
"""

import logging
import os
import threading
from collections.abc import Callable

from consumer.settings import Settings, load
from consumer.sources import kafka_source
from consumer.sources.base import Source

from .consumer import Consumer

log = logging.getLogger("greenwave.consumer")

OpenSource = Callable[[Settings], Source]

_lock = threading.Lock()
_consumer: Consumer | None = None


def start(
    timeout: float | None = None, settings: Settings | None = None, open_source: OpenSource | None = None
) -> Consumer:
    """Start this process' consumer unless there is one, wait until it is ready, and return it.

    `timeout` is in seconds (None: START_TIMEOUT); with 0 it never waits and never raises NotReady. `settings` and
    `open_source` count only for the call that starts it; settings come from the environment and the source is Kafka
    unless they are given.
    Raises NotReady at the deadline, while the thread goes on trying, and SettingsError for settings that can't be
    used, in which case nothing is started. A call of the Kafka client that hangs ends the process.
    """
    consumer = current()
    if consumer is None or consumer.stopped:
        consumer = _start_once(settings or load(os.environ), open_source)
    seconds = consumer.settings.start_timeout if timeout is None else timeout
    if seconds > 0:
        consumer.wait_ready(seconds)
    return consumer


def stop(timeout: float = 10.0) -> None:
    """End this process' consumer, if there is one; a later start() makes a new one."""
    global _consumer
    with _lock:
        consumer, _consumer = _consumer, None
    if consumer is not None:
        consumer.stop(timeout)


def current() -> Consumer | None:
    """Return this process' consumer; None when none was started."""
    return _consumer


def _start_once(settings: Settings, open_source: OpenSource | None) -> Consumer:
    global _consumer
    # The Kafka client is loaded on the thread that starts: the server does that before it accepts connections.
    open_source = open_source or kafka_source(settings)
    with _lock:
        if _consumer is None or _consumer.stopped:
            consumer = Consumer(settings, open_source)
            consumer.start()
            _consumer = consumer
        return _consumer


def _renew_in_child() -> None:
    global _lock, _consumer
    _lock = threading.Lock()
    _consumer = None


os.register_at_fork(after_in_child=_renew_in_child)
