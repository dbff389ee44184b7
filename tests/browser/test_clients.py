"""Third-party clients with the programs of docs/clients.md: after a cut nothing is lost or repeated."""

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.web.server.test_worker import Server, until

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^## (?P<title>[^\n]+)\n[^#]*?```(?P<language>\w+)\n(?P<code>.*?)```", re.MULTILINE | re.DOTALL)
PROGRAMS = {match["title"]: match["code"] for match in FENCE.finditer(PAGE)}
SEEN = re.compile(r"""['"]segment_id['"]: ?['"]n(\d+)['"]""")
ASKED = re.compile(r"all 2 slots are in use|GET /api/predictions\S* HTTP")
FRAGMENTS = {"Filters", "Fewer updates: `every=SECONDS`"}
"""Sections whose code is no whole program."""
IN_A_BROWSER = ("JavaScript client", "EventSource in a browser", "WebSocket in a browser")
COMMANDS = {
    "Python client": [sys.executable, "-u", "client.py"],
    "npm eventsource": ["node", "client.mjs"],
    "curl": ["sh", "client.sh"],
    "httpx": [sys.executable, "-u", "client.py"],
    "sseclient-py": [sys.executable, "-u", "client.py"],
    "websocket-client": [sys.executable, "-u", "client.py"],
    "Long polling": [sys.executable, "-u", "client.py"],
}
PYTHON_PROGRAMS = [
    name for name, (program, *_) in COMMANDS.items() if program == sys.executable and name != "Python client"
]
"""Programs that wait by themselves; the Python client polls a busy server."""


@pytest.fixture
def gunicorn(tmp_path: Path) -> Iterator[Server]:
    """Yield gunicorn as it is deployed, over a topic in memory."""
    with Server(tmp_path / "server.log") as server:
        yield server


def check_resume(server: Server, output: Callable[[], str]) -> None:
    """Publish before, during and after cuts: the client prints each prediction once, in order."""
    until(lambda: '"count":0' in output() or "'count': 0" in output() or output().startswith("[] None"))
    for begin in (0, 20, 40):
        server.get(f"/publish?from={begin}&to={begin + 10}")
        until(lambda begin=begin: len(SEEN.findall(output())) >= begin + 10)
        server.get("/cut")
        server.get(f"/publish?from={begin + 10}&to={begin + 20}")
    until(lambda: len(SEEN.findall(output())) >= 60)
    numbers = [int(number) for number in SEEN.findall(output())]
    for partition in (0, 1):
        assert [number for number in numbers if number % 2 == partition] == list(range(partition, 60, 2))
    assert '"gap"' not in output()


@pytest.mark.parametrize("title", COMMANDS)
def test_a_documented_client_resumes(gunicorn: Server, tmp_path: Path, title: str) -> None:
    command = COMMANDS[title]
    code = PROGRAMS[title].replace("localhost:8000", f"127.0.0.1:{gunicorn.port}")
    (tmp_path / command[-1]).write_text(code)
    os.symlink(ROOT / "node_modules", tmp_path / "node_modules")
    printed, environment = tmp_path / "output", {**os.environ, "PYTHONPATH": str(ROOT / "clients" / "python")}
    with printed.open("wb") as output:
        client = subprocess.Popen(
            command, cwd=tmp_path, stdout=output, stderr=output, env=environment, start_new_session=True
        )
    try:
        check_resume(gunicorn, printed.read_text)
    except AssertionError as error:
        raise AssertionError(f"{error}: {printed.read_text()[-2000:]}") from error
    finally:
        os.killpg(client.pid, 15)
        client.wait(60)


@pytest.mark.parametrize("title", PYTHON_PROGRAMS)
def test_a_client_waits_before_it_retries_a_busy_server(tmp_path: Path, title: str) -> None:
    log = tmp_path / "server.log"
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Server(log, MAX_STREAMS="2", WEB_THREADS="4", LOG_LEVEL="DEBUG"))
        until(lambda: json.loads(server.get("/api/predictions"))["data"]["cursor"])
        for _ in range(2):
            stack.enter_context(server.open())
        until(lambda: server.counts().get("sse") == 2)
        asked = len(ASKED.findall(log.read_text()))
        code = PROGRAMS[title].replace("localhost:8000", f"127.0.0.1:{server.port}")
        begin = time.monotonic()
        with subprocess.Popen([sys.executable, "-u", "-c", code], stdout=subprocess.DEVNULL) as client:
            try:
                until(lambda: len(ASKED.findall(log.read_text())) >= asked + 4)
            finally:
                client.terminate()
    assert time.monotonic() - begin >= 3  # at least three pauses of a second or more


@pytest.mark.parametrize("title", IN_A_BROWSER)
def test_a_documented_browser_client_resumes(gunicorn: Server, browser: Browser, title: str) -> None:
    page = browser.new_page()
    lines: list[str] = []
    page.on("console", lambda message: lines.append(message.text))
    page.goto(f"http://127.0.0.1:{gunicorn.port}/healthz")
    # What is evaluated is no module.
    code = re.sub(r'^import (.+) from (".+");$', r"const \1 = await import(\2);", PROGRAMS[title], flags=re.MULTILINE)
    page.evaluate(f"async () => {{ {code} }}")

    def output() -> str:
        page.wait_for_timeout(20)  # lets the page's messages through
        return "\n".join(lines)

    try:
        check_resume(gunicorn, output)
    finally:
        page.close()


def test_every_documented_client_is_run() -> None:
    assert {*IN_A_BROWSER, *COMMANDS} == set(PROGRAMS) - FRAGMENTS


def test_every_gap_reason_is_documented() -> None:
    source = "\n".join(path.read_text() for folder in ("consumer", "web") for path in (ROOT / folder).rglob("*.py"))
    reasons = set(re.findall(r"""(?:Gap|Unreplayable)\(\s*"(\w+)\"""", source)) | {"too_old", "replay_limit"}
    assert reasons == set(
        re.findall(r"^\| `(\w+)` \| [^|]* \|$", PAGE.split("## When there is a gap")[1], re.MULTILINE)
    )
