"""The settings of a process: one table of environment variables, read from a mapping handed in.

`fields` is the table, `loading` reads it, `checks` and `brokers` refuse what a type can't. It must not know what the
settings are for.
"""

from .backlog import Backlog, parse_backlog
from .brokers import masked
from .checks import networks, origins
from .fields import SECRETS, SECTIONS, Settings
from .loading import load, table
from .topics import MAX_TOPICS, Topics

__all__ = [
    "MAX_TOPICS",
    "SECRETS",
    "SECTIONS",
    "Backlog",
    "Settings",
    "Topics",
    "load",
    "masked",
    "networks",
    "origins",
    "parse_backlog",
    "table",
]
