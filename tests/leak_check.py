"""The leak check: no test leaves a thread, a socket, a file or a process. A pytest plugin that needs nothing else."""

import gc
import os
import threading
import time
from pathlib import Path

import pytest

FOLDER = "/proc/self/fd"
SETTLE_SECONDS = 20.0
"""How long what is just ending may take; a test that leaks nothing waits for nothing."""


class Belongings:
    """What this process holds: threads, descriptors of sockets, pipes and regular files, and children."""

    def __init__(self):
        self.threads = set(threading.enumerate())
        self.descriptors = dict(_descriptors())
        self.children = set(_children())

    def leaked_since(self, before):
        """Name what is here and was not before."""
        threads = [f"thread {each.name}" for each in self.threads - before.threads if each.is_alive()]
        opened = [what for fd, what in self.descriptors.items() if before.descriptors.get(fd) != what]
        files = [f"descriptor {what}" for what in opened if not what.startswith("/") or os.path.isfile(what)]
        children = [f"child process {pid}" for pid in self.children - before.children]
        return sorted(threads + files + children)


def _descriptors():
    for name in os.listdir(FOLDER) if os.path.isdir(FOLDER) else ():
        try:
            target = os.readlink(f"{FOLDER}/{name}")
        except OSError:
            continue  # it was the one that lists the folder
        # The test runner's own captures and the caches of libraries are no leak of a test.
        if target.startswith(("socket:", "pipe:", "anon_inode:", "/")):
            yield int(name), target


def _children():
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return  # there is none, which costs less to ask than to look for
    me = str(os.getpid())
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended while we looked
        if fields[1] == me and fields[0] != "Z":
            yield int(stat.parent.name)


@pytest.fixture(autouse=True)
def nothing_leaks(request):
    """Fail a test that leaves something behind; fixtures of a wider scope are set up before and don't count."""
    for name in request.fixturenames:
        definitions = request.session._fixturemanager.getfixturedefs(name, request.node)
        if definitions and definitions[-1].scope != "function":
            request.getfixturevalue(name)
    before = Belongings()
    yield
    deadline, pause = time.monotonic() + SETTLE_SECONDS, 0.001
    while leaked := Belongings().leaked_since(before):
        if time.monotonic() > deadline:
            pytest.fail(f"the test left behind: {', '.join(leaked)}")
        time.sleep(pause)
        pause = min(2 * pause, 0.02)
        if pause == 0.02:
            gc.collect()  # for what is in a cycle; it takes longer than most threads need to end
