"""A server as a group of processes: started, measured, and ended by its process ids."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TICKS = os.sysconf("SC_CLK_TCK")


def until(condition: Callable[[], Any], seconds: float, what: str, every: float = 0.05) -> Any:
    """Wait until a condition is true and return what it returned. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(every)
    raise TimeoutError(f"waited {seconds:g} s for {what}")


def listens(port: int) -> bool:
    """Tell whether a port of the loopback accepts connections."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


class Group:
    """The processes of one session (in the sense of setsid), measured together."""

    def __init__(self, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None, cwd: Path = ROOT):
        self.log = log
        with open(log, "ab") as output:
            self._process = subprocess.Popen(
                command,
                cwd=cwd,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.pid = self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the first process is still there."""
        return self._process.poll() is None

    def cpu_seconds(self) -> float:
        """Return the processor time of all members, ended children included."""
        return sum(sum(map(int, fields[11:15])) for fields in map(_stat, self._members()) if fields) / TICKS

    def memory_mb(self) -> float:
        """Return the proportional set size of all members, so that shared pages count once."""
        return sum(map(_pss_kb, self._members())) / 1024

    def threads(self) -> int:
        """Return the number of threads of all members."""
        return sum(int(fields[17]) for fields in map(_stat, self._members()) if fields)

    def close(self) -> None:
        """Terminate it; after 5 s, kill it."""
        if self.is_running:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                pass
        for pid in self._members():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it has ended
        self._process.wait()

    def _members(self) -> list[int]:
        pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
        return [pid for pid in pids if (fields := _stat(pid)) and int(fields[3]) == self.pid]


def cpu_of(pid: int) -> float:
    """Return the processor time of one process in seconds."""
    return sum(map(int, _stat(pid)[11:15])) / TICKS


def cpu_of_machine() -> float:
    """Return the processor time that all processes and the kernel used since the start, in seconds."""
    user, nice, system, _idle, _iowait, irq, softirq = map(int, Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + irq + softirq) / TICKS


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the name: state [0], session [3], times [11:15], threads [17]."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _pss_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
