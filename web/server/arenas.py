"""How many heaps the C library keeps."""

import contextlib
import ctypes
import os

M_ARENA_MAX = -8
"""Of mallopt(3); not among the constants of any Python module."""
ARENAS = 2


def limit_arenas() -> None:
    """Let all threads of this process, and of those forked from it, share two heaps; must come before the threads do.

    glibc gives threads heaps of their own, up to eight per core, and what is freed in one is of no use in the others:
    with each wave of streams a worker's memory would grow by what the wave before left behind. Since the interpreter's
    lock lets one thread run at a time, more heaps win nothing. MALLOC_ARENA_MAX has precedence; other C libraries are
    left alone.
    """
    if "MALLOC_ARENA_MAX" in os.environ:
        return
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)
