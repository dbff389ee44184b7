"""A child process that ends when this process stops it, or ends itself for any reason."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

_LAUNCH = Path(__file__).with_name("launch.py")


class ChildError(Exception):
    """A command can't be started; the text says which and why."""


class Child:
    """A running command. `pid` is its process id; `output` is its standard output and error, unless `log` takes them.

    `demo.launch` starts it, and ends it when this process has ended. After SIGTERM it has `grace_seconds` before
    SIGKILL. The file `scratch` is deleted with it, even when this process is killed, unless the command ends by itself.
    Raises ChildError when it can't be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        log: IO[bytes] | None = None,
        grace_seconds: float = 5.0,
        scratch: Path | None = None,
    ) -> None:
        reader, writer = os.pipe()
        arguments = [str(writer), str(grace_seconds), str(scratch or "")]
        launch = [sys.executable, "-I", "-S", str(_LAUNCH), *arguments, *command]
        try:
            self._launcher = subprocess.Popen(
                launch,
                stdin=subprocess.PIPE,
                stdout=log or subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[writer],
                env=env,
                cwd=cwd,
                start_new_session=True,  # Ctrl-C is for this process, which ends its children in order
            )
        finally:
            os.close(writer)
        self._grace_seconds = grace_seconds
        self.output = self._launcher.stdout
        self.pid = self._read_pid(reader, command)

    def _read_pid(self, reader: int, command: Sequence[str]) -> int:
        with open(reader, "rb") as status:
            report = status.read().decode()
        if report.isdigit():
            return int(report)
        self.stop()
        raise ChildError(f"{command[0]} can't be started: {report.removeprefix('!') or 'the launcher ended'}")

    def poll(self) -> int | None:
        """Return the exit status (128 + n after signal n); None while it is running."""
        return self._launcher.poll()

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit status. Raises TimeoutError after `timeout` seconds."""
        try:
            return self._launcher.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"process {self.pid} is still running after {timeout} s") from error

    def terminate(self) -> None:
        """Request the end without waiting for it."""
        assert self._launcher.stdin is not None
        self._launcher.stdin.close()

    def kill(self) -> None:
        """Kill it and its children."""
        if self.poll() is None:
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it has just ended

    def stop(self) -> int:
        """Terminate it, wait for the end and return the exit status."""
        self.terminate()
        code = self._launcher.wait()  # bounded, since the launcher kills it after the grace period
        if self.output is not None:
            self.output.close()
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
