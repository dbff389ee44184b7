"""Run a command that must not outlive the process that started it. A script; `demo.child` runs it.

    parent ── pipe ──▶ this process ──▶ the command, in its own process group

The parent has the only writing end of the pipe. It closes the pipe to end the command; when the parent dies, even by
SIGKILL, the kernel closes it. So every normal end tests the path of the abnormal one. The command gets SIGTERM; after
the grace period the rest of its process group gets SIGKILL.

PR_SET_PDEATHSIG of Linux was not used. It follows the thread that forked instead of the process, does not reach
grandchildren such as gunicorn's workers, has no grace period, and does not exist on macOS.
"""

import os
import select
import signal
import sys
import time

PARENT_PIPE = 0
END_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


def main(argv: list[str]) -> int:
    """Run `argv[4:]`. `argv[1]` is the descriptor that gets its process id, `argv[2]` the grace period in seconds.

    `argv[3]` is a file to delete unless the command ends by itself; empty for none. Return the exit status of the
    command, 128 + n after signal n.
    """
    status, grace_seconds, scratch, command = int(argv[1]), float(argv[2]), argv[3], argv[4:]
    os.set_inheritable(status, False)  # the parent reads until all writing ends are closed
    wakeups = _catch_signals()
    try:
        pid = _spawn(command)
    except OSError as error:
        os.write(status, f"!{error.strerror or error}".encode())
        return 127
    os.write(status, str(pid).encode())
    os.close(status)
    code, requested = _watch(pid, wakeups, grace_seconds)
    _kill_group(pid)
    if requested and scratch:
        _remove(scratch)
    return code if code >= 0 else 128 - code


def _catch_signals() -> int:
    """Turn signals into bytes on a pipe; return its reading end."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    for number in (signal.SIGCHLD, *END_SIGNALS):
        signal.signal(number, lambda *_: None)
    return reader


def _spawn(command: list[str]) -> int:
    no_input = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
    # Python ignores SIGPIPE and SIGXFSZ, and child processes inherit that.
    return os.posix_spawnp(
        command[0],
        command,
        os.environ,
        file_actions=[no_input],
        setpgroup=0,
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
    )


def _watch(pid: int, wakeups: int, grace_seconds: float) -> tuple[int, bool]:
    """Wait for the end of the command; return its exit code, and whether the end was requested."""
    deadline: float | None = None
    while True:
        ended, state = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(state), deadline is not None
        if deadline is None:
            ready, _, _ = select.select([wakeups, PARENT_PIPE], [], [])
        else:
            ready, _, _ = select.select([wakeups], [], [], max(0.0, deadline - time.monotonic()))
        signals = set(os.read(wakeups, 512)) if wakeups in ready else set()
        if deadline is None and (PARENT_PIPE in ready or END_SIGNALS & signals):
            deadline = time.monotonic() + grace_seconds
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGCONT)  # a stopped process handles no SIGTERM
        elif deadline is not None and time.monotonic() >= deadline:
            _kill_group(pid)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass  # already deleted


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except OSError:
        pass  # the usual case: the group is empty


if __name__ == "__main__":
    sys.exit(main(sys.argv))
