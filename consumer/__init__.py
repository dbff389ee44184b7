"""Kafka to feed: one consumer thread per process, and what it has read. It must not know Flask, HTTP or JSON framing.

start(timeout)   start the process' consumer once, wait until it is ready
stop()           end it
current()        the consumer, if there is one
"""

from consumer.runtime.consumer import Consumer
from consumer.runtime.singleton import current, start, stop

from .errors import BadCursor, GreenwaveError, NotReady, SettingsError
from .settings import Settings, load

__all__ = [
    "BadCursor",
    "Consumer",
    "GreenwaveError",
    "NotReady",
    "Settings",
    "SettingsError",
    "current",
    "load",
    "start",
    "stop",
]
