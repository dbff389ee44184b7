"""Hooks into the Kafka client beyond its public interface: the only use of its private names.

kafka-python is pinned to ~=3.0.12 for this package. tests/consumer/sources/test_hooks.py lists the private names, and
fails when one is missing. It must not know settings, sources, predictions or the feed: a source installs it.
"""

from typing import Any

from .batches import in_words, read_around_damage
from .connections import ClosedOnFailure, Manager, connect
from .fetches import Answers, ask_for_all_at_once, end_at_last_stable_offset, take_empty_answers_quickly
from .fetching import Fetching
from .positions import (
    discard_fetched,
    forget_high_watermarks,
    metadata_error,
    positions_of,
    readings_of,
    request_all_topics,
    seek,
)

__all__ = [
    "Answers",
    "ClosedOnFailure",
    "Manager",
    "connect",
    "discard_fetched",
    "forget_high_watermarks",
    "in_words",
    "install",
    "metadata_error",
    "positions_of",
    "readings_of",
    "request_all_topics",
    "seek",
]


def install(consumer: Any, manager: Manager, read_committed: bool) -> Answers:
    """Put the hooks into a consumer that has assigned nothing yet."""
    fetcher = consumer._fetcher
    read_around_damage(fetcher)
    ask_for_all_at_once(fetcher)
    take_empty_answers_quickly(fetcher)
    Fetching(fetcher)
    if read_committed:
        end_at_last_stable_offset(fetcher)
    return Answers(fetcher, manager)
