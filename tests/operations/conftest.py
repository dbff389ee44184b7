"""A live run: the embedded broker, a feed, the server with two streams, and a Prometheus that scrapes it."""

import contextlib
import json
import os
import subprocess
import sys
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
import websocket

from demo.broker import EmbeddedBroker, free_port
from demo.child import Child
from tests.web.server.test_worker import Server, read_until, until

ROOT = Path(__file__).resolve().parents[2]
OPERATIONS = ROOT / "docs" / "operations"
FEED = ("-m", "flask", "--app", "app", "send-test-events", "--count", "100000", "--delay", "0.05")
CONFIGURATION = """
global: {{scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 1s}}
scrape_configs:
  - job_name: greenwave
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
rule_files: [{rules}]
"""


class Prometheus:
    """Prometheus on a free port, with the configuration and the data in a folder."""

    def __init__(self, folder, configuration, *options):
        self.port = free_port()
        self._log = folder / "prometheus.log"
        (folder / "prometheus.yml").write_text(configuration)
        own = {
            "config.file": folder / "prometheus.yml",
            "storage.tsdb.path": folder / "data",
            "web.listen-address": f"127.0.0.1:{self.port}",
        }
        with self._log.open("wb") as output:
            command = ["prometheus", *options, *(f"--{name}={value}" for name, value in own.items())]
            self._process = subprocess.Popen(command, stdout=output, stderr=output)

    def __enter__(self):
        until(self._is_ready)
        return self

    def __exit__(self, *_):
        self._process.terminate()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def get(self, path, **parameters):
        """Return the data of an answer of the API."""
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=30) as response:
            answer = json.load(response)
        assert answer["status"] == "success", answer
        assert "warnings" not in answer, answer
        return answer["data"]

    def query(self, expression):
        """Return the samples that a query gives now."""
        return self.get("query", query=expression)["result"]

    def wait_for(self, expression):
        """Wait until a query gives samples. After a scrape that took too long it gives none until the next one."""
        try:
            until(lambda: self.query(expression))
        except AssertionError as error:
            raise AssertionError(f"no samples: {expression}") from error

    def _is_ready(self):
        assert self._process.poll() is None, self._log.read_text()
        with contextlib.suppress(OSError):
            return urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=5).status == 200


@pytest.fixture(scope="package")
def server(tmp_path_factory):
    """Return a server that reads a feed and has an SSE stream and a WebSocket."""
    folder = tmp_path_factory.mktemp("live")
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(EmbeddedBroker())
        environ = {"KAFKA_BROKERS": broker.address, "USUAL_FILE": str(folder / "usual.db")}
        output = stack.enter_context((folder / "feed.log").open("wb"))
        feed = Child([sys.executable, *FEED], env={**os.environ, **environ}, cwd=ROOT, log=output)
        stack.callback(feed.stop)
        server = stack.enter_context(Server(folder / "log", app="wsgi:app", probe="/readyz", **environ))
        until(lambda: b"ready" in server.get("/readyz") and b"not" not in server.get("/readyz"))
        stream = stack.enter_context(server.open())
        read_until(stream, b'"prediction"')
        until(lambda: b"greenwave_usual_last_write" in server.get("/metrics"))
        socket = websocket.create_connection(f"ws://127.0.0.1:{server.port}/predictions/ws", timeout=60)
        stack.callback(socket.close)
        yield server


@pytest.fixture(scope="package")
def prometheus(server, tmp_path_factory):
    """Return a Prometheus that has scraped the server for a while."""
    configuration = CONFIGURATION.format(port=server.port, rules=OPERATIONS / "alerts.yml")
    with Prometheus(tmp_path_factory.mktemp("prometheus"), configuration) as running:
        running.wait_for("rate(greenwave_delivery_seconds_count[5s]) > 0")
        until(lambda: all(each["lastEvaluation"] > "1" for each in running.get("rules")["groups"]))
        yield running
