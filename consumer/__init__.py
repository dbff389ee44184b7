"""Kafka to feed: one consumer thread per process, and what it has read.

start(timeout)   start the process' consumer once, wait until it is ready
stop()           end it
current()        the consumer, if there is one
"""

from .errors import BadCursor, GreenwaveError, NotReady, SettingsError
from .settings import Settings, load
from .singleton import current, start, stop
from .thread import Consumer

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
