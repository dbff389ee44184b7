"""A Kafka client call that hangs ends the worker: streams get `bye`, and the master starts another one."""

import os
import signal
import subprocess
import sys

import pytest

from tests.web.server.test_worker import ROOT, Server, read_until, rest_of, until

pytestmark = pytest.mark.integration

CODE = """
import threading
from consumer import Consumer, Settings
from consumer.runtime import ending
from consumer.sources.memory import MemorySource, MemoryTopic

class Hanging(MemorySource):
    def poll(self, timeout):
        threading.Event().wait()

ending.EXIT_SECONDS = 0.2
{before}
consumer = Consumer(Settings(watchdog_seconds=0.4), lambda _: Hanging(MemoryTopic()))
consumer.start()
threading.Event().wait(60)
"""
IGNORING = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"


def test_hang_ends_the_worker_with_bye_and_another_one_starts(tmp_path):
    # It does not drain: clients should continue elsewhere at once.
    with Server(tmp_path / "log", app="tests.web.hanging:app", DRAIN_SECONDS="600") as server:
        (worker,) = server.workers()
        until(lambda: b'"ready"' in server.get("/readyz"))
        with server.open() as stream:
            read_until(stream, b'"type":"initial"')
            assert server.get("/hang") == b"done"
            rest = rest_of(stream)
        assert b'"state":"reconnecting"' in rest, "stalled, before it counts as hung"
        assert b'"type":"bye"' in rest
        until(lambda: server.workers() not in ([], [worker]))
        until(lambda: b'"ready"' in server.get("/readyz"))
        log = server.log.read_text()
        assert "a Kafka client call has hung for" in log
        assert "tests/web/hanging.py" in log, "the stack says where"
        assert "exited with code 70" in log


@pytest.mark.parametrize(
    ("before", "status"),
    [("", -signal.SIGTERM), (IGNORING, 70)],
    ids=["SIGTERM", "SIGTERM has no effect"],
)
def test_hang_ends_a_process_without_gunicorn(before, status):
    code = CODE.format(before=before)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == status
    assert "a Kafka client call has hung for" in done.stderr
    assert "This process ends, so that another one can take over." in done.stderr
