import os
import signal
import subprocess
import sys

import pytest

from demo.child import Child, ChildError
from tests.cli.helpers import eventually
from tests.demo.helpers import runs

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
IGNORING = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ignoring', flush=True); time.sleep(60)",
]
PARENT = [
    sys.executable,
    "-c",
    "import subprocess, sys, time; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
    "print(child.pid, flush=True); time.sleep(60)",
]
STARTER = """
import sys, time
from demo.child import Child
child = Child([sys.executable, "-c", "import time; time.sleep(60)"], grace_seconds=1)
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("ending", "code"), [("raise SystemExit(7)", 7), ("pass", 0), ("import os; os.kill(os.getpid(), 9)", 137)]
)
def test_the_exit_status_of_the_command_is_that_of_the_child(ending, code):
    with Child([sys.executable, "-c", ending]) as child:
        assert child.wait(60) == code
        assert child.poll() == code


def test_standard_output_and_error_can_be_read():
    with Child([sys.executable, "-c", "import sys; print('one', flush=True); print('two', file=sys.stderr)"]) as child:
        assert child.output.read() == b"one\ntwo\n"


def test_the_command_gets_its_environment_and_an_empty_input():
    program = "import os, sys; print(os.environ['GREETING'], sys.stdin.read() == '')"
    with Child([sys.executable, "-c", program], env={"GREETING": "hello"}) as child:
        assert child.output.read() == b"hello True\n"


def test_a_missing_command_is_named_in_the_error():
    with pytest.raises(ChildError, match=r"no-such-command can't be started: No such file or directory"):
        Child(["no-such-command"])


def test_stop_ends_the_command_by_sigterm():
    child = Child(SLEEPER)
    assert runs(child.pid)
    assert child.stop() == 128 + signal.SIGTERM
    assert not runs(child.pid)


def test_a_command_that_ignores_sigterm_is_killed():
    child = Child(IGNORING, grace_seconds=0.2)
    assert child.output.readline() == b"ignoring\n"
    assert child.stop() == 128 + signal.SIGKILL


def test_a_stopped_command_ends_within_the_grace_period():
    child = Child(SLEEPER, grace_seconds=60)
    os.kill(child.pid, signal.SIGSTOP)
    assert child.stop() == 128 + signal.SIGTERM


def test_grandchildren_end_with_the_command():
    child = Child(PARENT)
    grandchild = int(child.output.readline())
    child.stop()
    assert eventually(lambda: not runs(grandchild))


def test_grandchildren_end_when_the_command_crashes():
    with Child(PARENT) as child:
        grandchild = int(child.output.readline())
        os.kill(child.pid, signal.SIGKILL)
        assert eventually(lambda: not runs(grandchild))
        assert child.wait(60) == 128 + signal.SIGKILL


def test_kill_needs_no_grace_period():
    with Child(IGNORING, grace_seconds=30) as child:
        assert child.output.readline() == b"ignoring\n"
        child.kill()
        assert child.wait(60) == 128 + signal.SIGKILL
        child.kill()  # and once more does no harm


def test_wait_raises_timeout_error_while_the_command_runs():
    with Child(SLEEPER) as child, pytest.raises(TimeoutError, match="still running"):
        child.wait(0.05)


def test_the_command_ends_when_its_parent_is_killed():
    with subprocess.Popen([sys.executable, "-c", STARTER], stdout=subprocess.PIPE) as starter:
        pid = int(starter.stdout.readline())
        assert runs(pid)
        starter.kill()
        assert eventually(lambda: not runs(pid))


@pytest.mark.parametrize(("asked", "stays"), [(True, False), (False, True)])
def test_a_scratch_file_is_deleted_unless_the_command_crashes(tmp_path, asked, stays):
    scratch = tmp_path / "scratch"
    scratch.write_text("what it wrote")
    with Child(SLEEPER, scratch=scratch) as child:
        if not asked:
            os.kill(child.pid, signal.SIGKILL)
            child.wait(60)
    assert scratch.exists() is stays


def test_ctrl_c_does_not_reach_the_command():
    with Child(SLEEPER) as child:
        assert os.getsid(child.pid) != os.getsid(0)
        assert os.getpgid(child.pid) == child.pid
