"""The Python interpreter of a process that serves: how often threads take turns and garbage is collected."""

import gc
import sys

SWITCH_SECONDS = 0.0002
"""The interpreter's switch interval. At its default, a busy thread delays each step of a live prediction by 5 ms."""
COLLECT_AFTER = (10_000, 20, 20)
"""Thresholds of the garbage collector: new objects, and collections of the two younger generations. A record makes
several objects and no cycles; at the default of 700 objects the search for cycles takes 5 to 9 % of reading a backlog.
A collection of 10,000 takes less than a millisecond."""


def tune() -> None:
    """Set both, and let collections skip the objects that exist now: full ones stop all threads."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    sys.setswitchinterval(SWITCH_SECONDS)
