"""What all subscriptions of a process share."""

import threading
from typing import NamedTuple

from consumer.view.feed import Feed

from .pace import Share
from .replay import Replays


class Shared(NamedTuple):
    """The feed, the replays (None: memory only), the throttle of work on the past, and whether the process ends."""

    feed: Feed
    replays: Replays | None
    share: Share
    closed: threading.Event
