"""Run a command that must not outlive whoever started it. Runs as a script of its own; see `demo.child`.

    starter ──lifeline──▶ this process ──▶ the command, in a process group of its own

The lifeline is a pipe whose only writing end is the starter's. Letting go of it is how the starter ends the command;
when the starter dies, even by kill -9, the kernel lets go for it. So there is one way to end, and every ordinary end
proves it. The command is asked by SIGTERM, and what is left of its group after the grace gets SIGKILL.

Linux has PR_SET_PDEATHSIG for this. It was not taken: it follows the thread that forked, not the process; it doesn't
reach grandchildren such as gunicorn's workers; it can't ask first and kill later; and macOS has nothing like it.
"""

import os
import select
import signal
import sys
import time

LIFELINE = 0
ENDING = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


def main(argv: list[str]) -> int:
    """Run `argv[4:]`; `argv[1]` is the descriptor to tell its process id, `argv[2]` the grace in seconds.

    `argv[3]` is a file to remove when the command ended because it was asked to, and not by itself; empty: none.
    Return the command's exit status, 128 + n when signal n ended it.
    """
    status, grace_seconds, scratch, command = int(argv[1]), float(argv[2]), argv[3], argv[4:]
    os.set_inheritable(status, False)  # the starter reads until everybody has closed it
    wakeups = _catch_signals()
    try:
        pid = _spawn(command)
    except OSError as error:
        os.write(status, f"!{error.strerror or error}".encode())
        return 127
    os.write(status, str(pid).encode())
    os.close(status)
    code, asked = _watch(pid, wakeups, grace_seconds)
    _kill_group(pid)
    if asked and scratch:
        _remove(scratch)
    return code if code >= 0 else 128 - code


def _catch_signals() -> int:
    """Make every signal of interest readable from a pipe; return its reading end."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    for number in (signal.SIGCHLD, *ENDING):
        signal.signal(number, lambda *_: None)
    return reader


def _spawn(command: list[str]) -> int:
    nothing = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
    # Python ignores SIGPIPE and SIGXFSZ, and an ignored signal stays so in what is run.
    return os.posix_spawnp(
        command[0],
        command,
        os.environ,
        file_actions=[nothing],
        setpgroup=0,
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
    )


def _watch(pid: int, wakeups: int, grace_seconds: float) -> tuple[int, bool]:
    """Wait until the command has ended; return its exit code, and whether it had been asked to."""
    deadline: float | None = None
    while True:
        ended, state = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(state), deadline is not None
        if deadline is None:
            ready, _, _ = select.select([wakeups, LIFELINE], [], [])
        else:
            ready, _, _ = select.select([wakeups], [], [], max(0.0, deadline - time.monotonic()))
        signals = set(os.read(wakeups, 512)) if wakeups in ready else set()
        if deadline is None and (LIFELINE in ready or ENDING & signals):
            deadline = time.monotonic() + grace_seconds
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGCONT)  # a stopped process would take no notice
        elif deadline is not None and time.monotonic() >= deadline:
            _kill_group(pid)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass  # somebody was faster


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except OSError:
        pass  # nothing is left, which is the usual case


if __name__ == "__main__":
    sys.exit(main(sys.argv))
