"""The JavaScript client in Node: the scenarios that all clients pass, and its npm package. No browser takes part."""

import json
import subprocess
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.run import SCENARIOS, Event, Json, run

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "tests" / "clients" / "javascript_client.mjs"


class InNode:
    """A client in a process of Node, whose lines are reported by a thread."""

    def __init__(self, url: str, options: Json, report: Callable[[Event], None]) -> None:
        # Node 20 has a WebSocket by this option only; with it, the client would try one where no transports are given.
        flags = ["--experimental-websocket"] if "websocket" in options.get("transports", ()) else []
        command = ["node", *flags, str(PROGRAM), url, json.dumps(options)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._report = report
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._report(json.loads(line))

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._thread.join()
        assert self._process.stdout
        self._process.stdout.close()
        self._process.wait()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[each["name"] for each in SCENARIOS])
def test_the_javascript_client_passes_the_scenario(scenario: Json) -> None:
    run(scenario, InNode)


def test_the_npm_package_has_the_served_file(tmp_path: Path) -> None:
    package = ROOT / "clients" / "javascript"
    command = ["npm", "pack", "--silent", "--offline", "--pack-destination", str(tmp_path)]
    subprocess.run(command, cwd=package, check=True, capture_output=True, timeout=60)
    (packed,) = tmp_path.glob("*.tgz")
    with tarfile.open(packed) as archive:
        names = {name.removeprefix("package/") for name in archive.getnames()}
        served = archive.extractfile("package/greenwave.js")
        assert served
        assert served.read() == (ROOT / "static" / "greenwave.js").read_bytes()
    assert names == {"LICENSE", "README.md", "greenwave.d.ts", "greenwave.js", "package.json"}
