"""Limit the heaps of the C library."""

import contextlib
import ctypes
import os

M_ARENA_MAX = -8
"""Of mallopt(3); not among the constants of any Python module."""
ARENAS = 2


def limit_arenas() -> None:
    """Let all threads of this process and of its children share two heaps. Call it before threads start.

    glibc creates up to eight heaps per core, and memory freed in one is not reused in another: with each wave of
    streams the memory of a worker would grow. Because of the GIL, more heaps are no faster. MALLOC_ARENA_MAX has
    precedence. Other C libraries are unaffected.
    """
    if "MALLOC_ARENA_MAX" in os.environ:
        return
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)
