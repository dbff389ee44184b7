"""What is built or fetched for the benchmarks, kept between runs in a folder outside of the repository.

GREENWAVE_BENCH_CACHE names the folder; the default is greenwave/bench below XDG_CACHE_HOME or ~/.cache.
"""

import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .pins import PYTHON

BUILD_SECONDS = 900


class Missing(Exception):
    """Something that a measure needs isn't available on this machine; the text says why."""


def cache() -> Path:
    """Return the folder."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "greenwave" / "bench"
    folder = Path(os.environ.get("GREENWAVE_BENCH_CACHE") or default)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def building(name: str) -> Iterator[None]:
    """Let one process at a time build this."""
    with open(cache() / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(*command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run a command and return its output. Raises Missing with the end of its messages."""
    tool = str(command[0])
    if shutil.which(tool) is None:
        raise Missing(f"{tool} is not installed")
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    if done.returncode:
        raise Missing(f"{' '.join(map(str, command[:3]))} failed: {(done.stderr or done.stdout).strip()[-400:]}")
    return done.stdout


def compiled(name: str, sources: Sequence[Path], *libraries: str) -> Path:
    """Return a C program built from these files, headers included; it is built again after a change."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(sources))).hexdigest()[:12]
    binary = cache() / f"{name}-{digest}"
    with building(name):
        if not binary.exists():
            files = [path for path in sources if path.suffix == ".c"]
            made = binary.with_suffix(".new")
            run("cc", "-O2", "-Wall", "-Wextra", "-o", made, *files, *(f"-l{each}" for each in libraries))
            made.rename(binary)
    return binary


@functools.cache
def python() -> Path:
    """Return the Python of the peers' virtual environment, with the pinned packages."""
    wanted = [f"{name}=={version}" for name, version in PYTHON.items()]
    digest = hashlib.sha256(" ".join([sys.version, *wanted]).encode()).hexdigest()[:12]
    folder = cache() / f"venv-{digest}"
    binary = folder / "bin" / "python"
    with building("venv"):
        if not (folder / "complete").exists():
            run(sys.executable, "-m", "venv", "--clear", folder)
            run(binary, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted)
            (folder / "complete").touch()
    return binary
