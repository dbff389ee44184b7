"""Threads share the heaps of the C library."""

import platform
import re
import subprocess
import sys

import pytest

COUNT_HEAPS = """
import ctypes, os, threading
from web.server.arenas import limit_arenas
{first}
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
barrier = threading.Barrier(12)
def take():
    barrier.wait()
    libc.malloc(1000)
    barrier.wait()
threads = [threading.Thread(target=take) for _ in range(12)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc.fdopen.restype = ctypes.c_void_p
libc.malloc_info(0, ctypes.c_void_p(libc.fdopen(1, b"w")))
libc.fflush(None)
"""

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="heaps of threads are glibc's"),
]


def heaps(first, **environ):
    command = [sys.executable, "-c", COUNT_HEAPS.format(first=first)]
    info = subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout
    return len(re.findall("<heap nr=", info))


def test_threads_share_two_heaps():
    assert heaps("") > 2
    assert heaps("limit_arenas()") <= 2


def test_what_the_environment_says_has_precedence():
    assert heaps("limit_arenas()", MALLOC_ARENA_MAX="5") > 2
