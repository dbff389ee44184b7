"""The two processes that work beside a server: the producer, and the clients. Both are driven by lines of text."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from .cache import compiled, python
from .group import ROOT
from .messages import SEGMENTS
from .peers.base import Peer

LOAD = ROOT / "bench" / "load"


def load_client() -> Path:
    """Return the compiled load client."""
    return compiled("load", sorted(LOAD.glob("*.[ch]")), "z")


class Helper:
    """A process with a pipe to it and one from it; a context manager that ends it."""

    def __init__(self, command: Sequence[str | Path]) -> None:
        self._process = subprocess.Popen(
            list(map(str, command)), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def say(self, line: str) -> None:
        """Send a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Wait for a line and return its JSON. Raises RuntimeError if the process has ended."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended with status {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def finish(self) -> str:
        """Close its input, which ends it, and return the rest of its output."""
        output = self._process.communicate(timeout=60)[0]
        if self._process.returncode:
            raise RuntimeError(f"{self._process.args!r} ended with status {self._process.returncode}")
        return output


class Feeder(Helper):
    """The producer into a server's topic."""

    def __init__(self, peer: Peer, rate: float, segments: int = SEGMENTS) -> None:
        arguments = [peer.world.broker, peer.topic, str(segments), peer.record_header]
        super().__init__([python(), "-m", "bench.programs.feeder", *arguments])
        self.set_rate(rate)

    def set_rate(self, rate: float) -> None:
        """Publish so many messages per second from now on."""
        self.say(f"rate {rate}")

    def stamps(self) -> list[int]:
        """End it and return the send time of each message, in epoch microseconds."""
        stamps: list[int] = json.loads(self.finish())
        return stamps


class Crowd(Helper):
    """The clients of a server. `ready` says how far they came before the time limit; see bench/load/load.c."""

    def __init__(self, peer: Peer, clients: int, *options: str, path: str = "") -> None:
        address = ["--port", str(peer.port), "--path", path or peer.path, "--clients", str(clients)]
        headers = [part for header in peer.headers for part in ("--header", header)]
        super().__init__([load_client(), *address, *headers, *options])
        try:
            self.ready = self.answer()
        except BaseException:
            self.__exit__()
            raise

    def open_window(self, begin: int, end: int) -> None:
        """Count the messages sent from `begin` to `end`, in epoch microseconds."""
        self.say(f"window {begin} {end}")
        self.answer()

    def result(self) -> dict[str, Any]:
        """Return the counts of the window, some seconds after its end."""
        self.say("result")
        return self.answer()
