"""A child process that ends when its starter lets go of it, or dies."""

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
    """A command could not be started; the text says which and why."""


class Child:
    """A running command; `pid` is the command's own process id, `output` its standard output and error if asked for.

    It is started by `demo.launch`, which ends it when this process is gone. `grace_seconds` is how long it may take to
    end when it is asked to. `scratch` is a file that goes with it: it is removed, even when this process is killed,
    unless the command ended by itself. Raises ChildError when it can't be started.
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
        ours = [str(writer), str(grace_seconds), str(scratch or "")]
        launch = [sys.executable, "-I", "-S", str(_LAUNCH), *ours, *command]
        try:
            self._launcher = subprocess.Popen(
                launch,
                stdin=subprocess.PIPE,
                stdout=log or subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[writer],
                env=env,
                cwd=cwd,
                start_new_session=True,  # Ctrl-C is for the starter, who ends its children in order
            )
        finally:
            os.close(writer)
        self._grace_seconds = grace_seconds
        self.output = self._launcher.stdout
        self.pid = self._read_pid(reader, command)

    def _read_pid(self, reader: int, command: Sequence[str]) -> int:
        with open(reader, "rb") as status:
            said = status.read().decode()
        if said.isdigit():
            return int(said)
        self.stop()
        raise ChildError(f"{command[0]} can't be started: {said.removeprefix('!') or 'the launcher ended'}")

    def poll(self) -> int | None:
        """Return the exit status (128 + n after signal n), None while it runs."""
        return self._launcher.poll()

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit status; TimeoutError after `timeout` seconds."""
        try:
            return self._launcher.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"process {self.pid} is still running after {timeout} s") from error

    def let_go(self) -> None:
        """Ask it to end, and don't wait."""
        assert self._launcher.stdin is not None
        self._launcher.stdin.close()

    def kill(self) -> None:
        """End it and its children at once."""
        if self.poll() is None:
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it ended in this moment

    def stop(self) -> int:
        """Ask it to end, wait until it has, and return the exit status."""
        self.let_go()
        code = self._launcher.wait()  # bounded: the launcher kills when the grace is over
        if self.output is not None:
            self.output.close()
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
