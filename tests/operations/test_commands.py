"""The commands of the documents, run as they are written, on a broker and a server of the tests.

Names of other hosts, the port 8000 and folders of the system are replaced; nothing else is.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from kafka import KafkaProducer

from consumer.settings import Settings
from consumer.sources.kafka import client_options
from demo.broker import EmbeddedBroker, free_port
from demo.child import Child
from tests.operations.conftest import FEED, ROOT
from tests.web.server.test_worker import Server, until

DOCUMENTS = [ROOT / "README.md", ROOT / "clients/python/README.md", *sorted((ROOT / "docs").glob("*.md"))]
DOCUMENTS += sorted((ROOT / "docs/operations").glob("*.md"))
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"\n\n((?:    (?:pip|flask|[A-Z_]+=)\S*.*\n)+)")
ELSEWHERE = {
    "make run": "tests/demo/test_run.py",
    "make test": ".ci/run",
    "pip install": "the make targets install what the lock files name, and tests/test_lock.py compares them",
    "python3 -m venv": "as make does; it takes a minute",
    "/opt/greenwave/venv/bin/pip install": "as make does; it takes a minute",
    "touch cursor": "tests/browser/test_clients.py",
    "while sleep 1": "tests/browser/test_clients.py",
    "docker compose run": "tests/operations/test_compose.py, without Docker",
    "docker": "needs a Docker engine",
    "kubectl": "needs a cluster",
    "heroku": "needs an account",
    "git push heroku": "needs an account",
    "systemctl": "needs systemd as process 1",
}
"""Commands that are not run here, by their beginnings, and why, or what runs them."""
SHOWN = {
    "flask --app app make-token": "token, which is shown only here: gw_",
    "flask --app app inspect": "mapping.toml",
    "flask --app app create-topic": "created|exists",
    "flask --app app check-mapping": ": (prediction|observation) {",
    "curl -N": 'data: {"type":"connected"',
    'curl "localhost:8000/api/predictions?after': '"success":true',
    "curl localhost:8000/api/acknowledgements": '"name":"Ann","note":"crew sent"',
    "curl -X POST http://localhost:8000/api/predictions": '"written":\\[{"index":0,',
    "install -m 600": "",
    "cp /opt/greenwave/app": "",
}
"""What a command prints, by its beginning; one that starts gunicorn, or sets variables, serves."""
LIMIT_SECONDS = 60
CITY = {
    "city-speeds": {"link_id": "A1", "speed_kmh": 61.5, "measured_at": "2026-11-28T08:00:00Z"},
    "city-forecasts": {"link_id": "A1", "predicted_speed_kmh": 61.5, "measured_at": "2026-11-28T08:00:00Z"},
}
"""Messages that are not in the form of docs/messages.md."""


def is_whole(text):
    """Tell whether the shell takes a text for whole commands."""
    checked = subprocess.run(["sh", "-n", "-c", text], check=False, capture_output=True)
    return checked.returncode == 0 and not text.endswith("\\\n")


def commands_of(path):
    """Return the commands of a document; each has the exports before it in its block."""
    text = path.read_text(encoding="utf-8")
    found = []
    for block in [*BLOCK.findall(text), *map(textwrap.dedent, INDENTED.findall(text))]:
        command = exports = ""
        for line in block.splitlines(keepends=True):
            command += line
            if not is_whole(command):
                continue
            if command.startswith("export "):
                exports += command
            else:
                found.append((exports, command))
            command = ""
        assert not command, f"{path.name}: {block}"
    return found


COMMANDS = {str(path.relative_to(ROOT)): found for path in DOCUMENTS if (found := commands_of(path))}


def kind_of(command, kinds):
    """Return the longest beginning of a command, after its variables, among these; None if there is none."""
    program = re.sub(r"^(?:[A-Z_]+=\S* )+", "", command)
    return max((each for each in kinds if program.startswith(each)), key=len, default=None)


def serves(command):
    """Tell whether a command starts the server, or is the variables of one."""
    return bool(re.fullmatch(r"(?:[A-Z_]+=\S*\s+)+(?:gunicorn .*\s*)?", command))


def test_each_command_is_run_or_has_a_reason():
    assert len(COMMANDS) > 8
    known = {**ELSEWHERE, **SHOWN}
    commands = [command for found in COMMANDS.values() for _, command in found]
    assert [each for each in commands if not serves(each) and not kind_of(each, known)] == []
    assert [each for each in known if each not in {kind_of(command, known) for command in commands}] == []


def test_what_pip_installs_exists():
    commands = [command for found in COMMANDS.values() for _, command in found if "pip install" in command]
    named = re.findall(r"(?:-r (?:/opt/greenwave/app/)?|\./)([\w./-]+)", "".join(commands))
    assert len(named) == len(commands)
    assert [each for each in named if not (ROOT / each).exists()] == []


@pytest.fixture(scope="module")
def broker():
    """Return a broker with messages in each topic that the documents name."""
    with EmbeddedBroker() as broker:
        options = client_options(Settings(kafka_brokers=broker.address))
        with contextlib.closing(KafkaProducer(**options, acks="all")) as producer:
            for topic, value in CITY.items():
                producer.send(topic, json.dumps(value).encode()).get(LIMIT_SECONDS)
        yield broker


@pytest.fixture(scope="module")
def running(broker, tmp_path_factory):
    """Return a server with a feed for the commands that send requests."""
    folder = tmp_path_factory.mktemp("running")
    environ = {"KAFKA_BROKERS": broker.address, "PUBLISH": "1", "ACKNOWLEDGEMENTS_FILE": str(folder / "seen.db")}
    with contextlib.ExitStack() as stack:
        output = stack.enter_context((folder / "feed.log").open("wb"))
        feed = Child([sys.executable, *FEED], env={**os.environ, **environ}, cwd=ROOT, log=output)
        stack.callback(feed.stop)
        server = stack.enter_context(Server(folder / "log", app="wsgi:app", probe="/readyz", **environ))
        until(lambda: b'"LA_001"' in server.get("/api/predictions"))
        yield server


@pytest.fixture
def clone(tmp_path):
    """Return a folder with the files of the product, where commands may write."""
    folder = tmp_path / "clone"
    folder.mkdir()
    for path in ROOT.iterdir():
        if not path.name.startswith("."):
            (folder / path.name).symlink_to(path)
    (folder / "sample.json").write_text(json.dumps(CITY["city-forecasts"]))
    return folder


@pytest.mark.parametrize("document", COMMANDS)
def test_the_commands_of_a_page_do_what_it_says(document, broker, running, clone, tmp_path):
    for folder in ("var", "etc/systemd/system"):
        (tmp_path / folder).mkdir(parents=True)
    cursor = json.loads(running.get("/api/predictions"))["data"]["cursor"]
    binaries = Path(sys.executable).parent
    environ = {**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}", "BIND": "127.0.0.1", "CURSOR": cursor}
    environ["KAFKA_BROKERS"] = broker.address
    replacements = {
        "kafka-1:9092,kafka-2:9092": broker.address,
        "localhost:8000": f"localhost:{running.port}",
        "/opt/greenwave/app": str(ROOT),
        "/var/lib/greenwave": str(tmp_path / "var"),
        " /etc/": f" {tmp_path}/etc/",
    }
    for exports, command in COMMANDS[document]:
        if kind_of(command, ELSEWHERE):
            continue
        if not serves(command):
            text = exports + command
        elif "gunicorn" in command:
            text = f"{exports}exec env {command}"
        else:
            text = f"{exports}exec env {command.rstrip()} gunicorn wsgi:app"
        for old, new in replacements.items():
            text = text.replace(old, new)
        if serves(command):
            check_server(text, clone, environ, tmp_path / "output")
        else:
            check_output(text, SHOWN[kind_of(command, SHOWN)], clone, environ, tmp_path / "output")


@contextlib.contextmanager
def started(text, clone, environ, path):
    """Run a command of the shell until the block ends; yield its process."""
    with path.open("wb") as output:
        child = Child(["sh", "-c", text], env=environ, cwd=clone, log=output)
    try:
        yield child
    finally:
        child.stop()


def check_output(text, expected, clone, environ, path):
    """Assert that a command prints a text, or if none is expected that it succeeds."""
    with started(text, clone, environ, path) as child:
        deadline = time.monotonic() + LIMIT_SECONDS
        while (code := child.poll()) is None and time.monotonic() < deadline:
            if expected and re.search(expected, path.read_text()):
                return
            time.sleep(0.02)
        printed = path.read_text()
        assert re.search(expected, printed), f"{text}: {printed}"
        assert code == 0, f"{text}: {printed}"


def check_server(text, clone, environ, path):
    """Assert that a command starts a server which answers, and which ends."""
    port = str(free_port())
    with started(text, clone, {**environ, "PORT": port}, path) as child:

        def answers():
            assert child.poll() is None, f"{text}: {path.read_text()}"
            asked = ["curl", "-sf", "-m", "60", f"http://127.0.0.1:{port}/healthz"]
            return subprocess.run(asked, check=False, capture_output=True).returncode == 0

        until(answers)
        assert "Traceback" not in path.read_text()
