"""`python -m tools.pythons [VERSION ...]`: run the unit tests on each supported Python that is installed here.

Interpreters are looked for on PATH, and among those that pyenv and uv have installed. Each gets a virtual environment
in .cache/pythons with what requirements-dev.lock names. Versions that are not installed are named.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
TESTS = ["-q", "-n", "2", "-m", "not integration", "tests/consumer", "tests/web"]
PYENV = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
UV = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or Path.home() / ".local" / "share" / "uv" / "python")


def candidates(version: str) -> list[str]:
    """Return commands that may be an interpreter of a version, such as 3.12."""
    found = [*PYENV.glob(f"{version}.*/bin/python"), *UV.glob(f"cpython-{version}.*/bin/python{version}")]
    return [*filter(None, [shutil.which(f"python{version}")]), *map(str, sorted(found, reverse=True))]


def interpreter(version: str) -> str | None:
    """Return an interpreter of a version that starts, or None."""
    for command in candidates(version):
        done = subprocess.run([command, "-VV"], capture_output=True, text=True, check=False)
        if done.stdout.startswith(f"Python {version}."):
            return command
    return None


def run(version: str, command: str) -> str:
    """Install the dependencies for an interpreter and run the tests; return the last line of their output."""
    folder = ROOT / ".cache" / "pythons" / version
    python = str(folder / "bin" / "python")
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    subprocess.run([command, "-m", "venv", folder], check=True)
    subprocess.run([python, *install, "-r", "requirements-dev.lock"], cwd=ROOT, check=True)
    environ = {**os.environ, "HYPOTHESIS_PROFILE": "quick"}
    tests = [python, "-m", "pytest", *TESTS]
    done = subprocess.run(tests, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stdout.write(done.stdout[-10_000:] + done.stderr[-2_000:])
    last = (done.stdout.splitlines() or [""])[-1]
    return f"{'passed' if done.returncode == 0 else 'FAILED'}: {re.sub('=+', '', last).strip()}"


def main(versions: Sequence[str]) -> int:
    """Run the tests on these versions; return the exit status, 1 when tests failed."""
    outcomes = {}
    for version in versions:
        command = interpreter(version)
        outcomes[version] = run(version, command) if command else "not installed here, not tested"
        print(f"Python {version}  {outcomes[version]}", flush=True)
    return int(any(outcome.startswith("FAILED") for outcome in outcomes.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or VERSIONS))
