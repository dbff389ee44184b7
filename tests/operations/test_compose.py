"""The services of compose.yaml together, without containers: their commands, variables and files, on free ports.

Kafka is the embedded broker here; tests/kafka has a node with the variables of compose.yaml. Grafana is not run.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import PurePosixPath
from urllib.parse import urlencode, urlsplit

import pytest
import yaml

from demo.broker import EmbeddedBroker, free_port
from demo.child import Child
from tests.operations.conftest import Prometheus
from tests.operations.test_deploying import COMPOSE, DOCKERFILE, ROOT, environ, image
from tests.operations.test_proxies import LIMIT_SECONDS, nginx_of_compose, read_until
from tests.web.server.test_worker import until

__all__ = ["environ", "image"]  # fixtures

SERVICES = COMPOSE["services"]
DEPLOYING = (ROOT / "docs/operations/deploying.md").read_text(encoding="utf-8")
OVERRIDE, MAKE_TOKEN = re.search(
    r"```yaml\n# compose.override.yaml\n(.*?)```.*?```sh\ndocker compose run --rm --no-deps greenwave (.*?)\n",
    DEPLOYING,
    re.DOTALL,
).groups()
WITH_TOKENS = yaml.safe_load(OVERRIDE)["services"]["greenwave"]


def mounts(service):
    """Return the files that a service mounts, by their paths in its container."""
    sources = (each.split(":") for each in SERVICES[service].get("volumes", []))
    return {PurePosixPath(target): ROOT / source for source, target, _ in sources}


class Stack:
    """The services that use the image, in the order of compose.yaml, until the stack of contexts ends."""

    def __init__(self, stack, folder, image, environ):
        self._stack, self._folder, self._image = stack, folder, image
        broker = stack.enter_context(EmbeddedBroker())
        self.port, self.admin_port = free_port(), free_port()
        self._changes = {
            "kafka:9092": broker.address,
            "0.0.0.0:8001": f"127.0.0.1:{self.admin_port}",
            "172.16.0.0/12,192.168.0.0/16": "127.0.0.0/8",
        }
        self._environ = {name: value for name, value in environ.items() if name != "KAFKA_BROKERS"}
        self._environ["PORT"] = str(self.port)

    def start(self, name, command=None, **more):
        """Start a service, and return its process."""
        variables = SERVICES[name]["environment"] | more
        variables = {each: self._changes.get(value, value) for each, value in variables.items()}
        command = command or SERVICES[name].get("command") or json.loads(re.search(r"^CMD (.+)$", DOCKERFILE, re.M)[1])
        output = self._stack.enter_context(self.log(name).open("ab"))
        child = Child([sys.executable, "-m", *command], env={**self._environ, **variables}, cwd=self._image, log=output)
        self._stack.callback(child.stop)
        return child

    def log(self, name):
        """Return the path of the log of a service."""
        return self._folder / f"{name}.log"

    def is_answered(self):
        """Tell whether the health check of the image succeeds."""
        probe = [sys.executable, "-m", "web.probe"]
        return subprocess.run(probe, check=False, cwd=self._image, env=self._environ, timeout=60).returncode == 0


@pytest.fixture
def stack(tmp_path, image, environ):
    """Return the services with the topic, the feed and nothing else running."""
    with contextlib.ExitStack() as stack:
        services = Stack(stack, tmp_path, image, environ)
        topic = services.start("topic")
        assert topic.wait(60) == 0, services.log("topic").read_text()
        services.start("feed")
        yield services


def test_the_services_serve_the_page_a_stream_and_metrics(stack, tmp_path):
    greenwave = stack.start("greenwave")
    until(stack.is_answered)
    with nginx_of_compose(tmp_path, stack.port) as nginx:
        assert nginx.status("/predictions") == 200
        with nginx.stream() as response:
            read_until(response, b'"type":"prediction"')
        # What is for operators is served at ADMIN_BIND alone, where Prometheus asks.
        assert [nginx.status(path) for path in ("/metrics", "/api/quarantine", "/api/clients")] == [403] * 3
        scraped = (ROOT / "deploy/prometheus/prometheus.yml").read_text()
        assert scraped.count("greenwave:8001") == 1
        for target, source in mounts("prometheus").items():
            (tmp_path / target.name).write_bytes(source.read_bytes())
        options = [each for each in SERVICES["prometheus"]["command"] if "config.file" not in each]
        configuration = scraped.replace("greenwave:8001", f"127.0.0.1:{stack.admin_port}")
        with Prometheus(tmp_path, configuration, *options) as prometheus:
            prometheus.wait_for('greenwave_ready{job="greenwave"} == 1')
            assert [each["name"] for each in prometheus.get("rules")["groups"]] == ["greenwave"]
    os.kill(greenwave.pid, signal.SIGTERM)
    assert greenwave.wait(60) == 0
    for name in ("topic", "feed", "greenwave"):
        assert "Read-only" not in stack.log(name).read_text()


def test_a_token_of_the_documented_command_opens_the_page(stack, tmp_path):
    variables = WITH_TOKENS["environment"] | {"AUTH_TOKENS_FILE": str(tmp_path / "tokens.toml")}
    made = stack.start("greenwave", MAKE_TOKEN.split(), **variables)
    assert made.wait(60) == 0
    printed = stack.log("greenwave").read_text()
    token, table = re.search(r"shown only here: (\S+)\n\nadd to AUTH_TOKENS_FILE:\n\n(.*)", printed, re.DOTALL).groups()
    (tmp_path / "tokens.toml").write_text(table)
    stack.start("greenwave", **variables)
    until(stack.is_answered)
    with nginx_of_compose(tmp_path, stack.port) as nginx:
        refused = nginx.curl("/predictions")
        assert (refused.split()[1], "/sign-in" in refused) == ("302", True)
        jar, origin = tmp_path / "cookies", f"http://greenwave.example.org:{nginx.port}"
        form = ["-H", f"Origin: {origin}", "--data", urlencode({"token": token})]
        assert nginx.status("/sign-in", "-c", jar, *form) == 303
        assert nginx.status("/predictions", "-b", jar) == 200
        until(lambda: '"segment_id"' in nginx.curl("/api/predictions", "-b", jar), LIMIT_SECONDS)


def test_the_documented_folder_has_the_file_of_tokens():
    (mounted,) = WITH_TOKENS["volumes"]
    source, target, _ = mounted.split(":")
    file = PurePosixPath(WITH_TOKENS["environment"]["AUTH_TOKENS_FILE"])
    assert file.parent == PurePosixPath(target)
    assert f"`{source.removeprefix('./')}/{file.name}`" in DEPLOYING


def test_grafana_finds_prometheus_and_the_dashboard():
    files = mounts("grafana")
    (source,) = (each for each in files.values() if each.name == "datasources.yml")
    (data_source,) = yaml.safe_load(source.read_text())["datasources"]
    url = urlsplit(data_source["url"])
    assert url.hostname in SERVICES
    assert [each.rpartition(":")[2] for each in SERVICES[url.hostname]["ports"]] == [str(url.port)]
    (providers,) = (each for each in files.values() if each.name == "dashboards.yml")
    (provider,) = yaml.safe_load(providers.read_text())["providers"]
    (dashboard,) = (target for target, source in files.items() if source.name == "dashboard.json")
    assert str(dashboard.parent) == provider["options"]["path"]
