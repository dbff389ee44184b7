"""What is needed to deploy: each file is checked by the tool that reads it, and run as far as this machine can."""

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from msgspec import structs

from consumer.settings import Settings, load, networks
from consumer.version import VERSION
from demo.broker import free_port
from tests.kafka.apache import version as kafka_version
from tests.web.server.test_worker import Server, read_until, rest_of, until
from web.limits.addresses import client_address
from web.server.descriptors import Descriptors
from web.server.draining import WAIT_SHARE

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
MANIFESTS = list(yaml.safe_load_all((ROOT / "deploy/kubernetes/greenwave.yaml").read_text(encoding="utf-8")))
UNIT = (ROOT / "deploy/systemd/greenwave.service").read_text(encoding="utf-8")
SETTINGS = {field.name.upper() for field in structs.fields(Settings)}
NOT_OURS = {"FORWARDED_ALLOW_IPS"}  # gunicorn reads it
KUBERNETES = ("1.31", "1.34")
GRACEFUL_SECONDS = int(
    re.search(r"^REQUEST_SECONDS = (\d+)$", (ROOT / "gunicorn.conf.py").read_text(), re.MULTILINE)[1]
)

READ_ONLY = '''
"""Refuses to write anywhere but in memory, as a container with a read-only root file system does."""
import errno, os, sys

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

def refuse(event, args):
    if event == "open" and isinstance(args[0], str) and args[2] & WRITES or event in ("os.mkdir", "os.rename"):
        if not os.fspath(args[0]).startswith(("/dev/", "/proc/")):
            raise OSError(errno.EROFS, "Read-only file system", args[0])

sys.addaudithook(refuse)
'''


def run(*command, **options):
    """Run a command; return its exit code and what it printed."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=120, **options)
    return done.returncode, done.stdout + done.stderr


def manifest(kind):
    (found,) = [each for each in MANIFESTS if each["kind"] == kind]
    return found


# Container


def test_hadolint_accepts_the_dockerfile():
    assert run(str(Path(sys.executable).parent / "hadolint"), "Dockerfile") == (0, "")


def is_sent(path):
    """Tell whether a path is sent to the builder, by the rules of .dockerignore."""
    sent = True
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        bare = pattern.removeprefix("!").removeprefix("**/")
        parts = path.parts
        tops = ["/".join(parts[: number + 1]) for number in range(len(parts))]
        if any(fnmatch.fnmatch(each, bare) for each in (tops + list(parts) if "**/" in pattern else tops)):
            sent = pattern.startswith("!")
    return sent


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """Return the folder /opt/greenwave/app of the image: what the COPY lines of the first stage put there."""
    app = tmp_path_factory.mktemp("image") / "app"
    first = DOCKERFILE.partition("\nFROM ${PYTHON_IMAGE}\n")[0]
    for line in re.findall(r"^COPY (.+)$", first, re.MULTILINE):
        *sources, target = line.split()
        if not target.startswith("./app"):
            continue
        for source in sources:
            assert is_sent(Path(source)), f"{source} is not sent to the builder"
            place = app.parent / target
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                place.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, place)
    return app


@pytest.fixture
def environ(tmp_path):
    """Return the environment of the image, with a file system that can't be written to."""
    (tmp_path / "sitecustomize.py").write_text(READ_ONLY)
    values = dict(
        re.findall(r'([A-Z_]+)=("[^"]*"|\S+)', " ".join(re.findall(r"^ENV (?:.+\\\n)*.+$", DOCKERFILE, re.M)))
    )
    values = {name: value.strip('"') for name, value in values.items() if name != "PATH"}
    return {**os.environ, **values, "PYTHONPATH": str(tmp_path), "BIND": "127.0.0.1", "KAFKA_BROKERS": "127.0.0.1:1"}


def test_the_image_serves_without_writing_to_its_file_system(image, environ, tmp_path):
    port = free_port()
    environ["PORT"] = str(port)
    probe = [sys.executable, "-m", "web.probe"]
    assert subprocess.run(probe, check=False, cwd=image, env=environ, timeout=60).returncode == 1
    with (tmp_path / "log").open("wb") as output:
        command = json.loads(re.search(r"^CMD (.+)$", DOCKERFILE, re.MULTILINE)[1])
        started = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=image, env=environ, stdout=output, stderr=output
        )
    try:
        until(lambda: subprocess.run(probe, check=False, cwd=image, env=environ, timeout=60).returncode == 0)
        for path in ("/predictions", "/static/js/main.js", "/metrics", "/api/health"):
            status, printed = run("curl", "-sf", "-o", "/dev/null", f"http://127.0.0.1:{port}{path}")
            assert status == 0, (path, printed)
    finally:
        started.terminate()
        assert started.wait(60) == 0, (tmp_path / "log").read_text()
    lines = (tmp_path / "log").read_text().splitlines()
    assert [json.loads(line)["message"] for line in lines if "Read-only" in line] == []


def test_the_commands_of_the_image_run_without_writing(image, environ):
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "app", "version"],
        check=False,
        cwd=image,
        env=environ,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, VERSION in done.stdout) == (0, True), done.stderr


def test_the_image_has_the_version_of_the_product():
    assert f"\nARG VERSION={VERSION}\n" in DOCKERFILE
    assert COMPOSE["x-greenwave"]["image"] == f"greenwave:{VERSION}"
    assert manifest("Deployment")["spec"]["template"]["spec"]["containers"][0]["image"] == f"greenwave:{VERSION}"


# Schemas of compose.yaml, the workflow and app.json


@pytest.mark.parametrize(
    ("schema", "path"),
    [("vendor.compose-spec", "compose.yaml"), ("vendor.github-workflows", ".github/workflows/release.yml")],
)
def test_a_file_has_the_form_of_its_schema(schema, path):
    status, printed = run(sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, path)
    assert status == 0, printed


def test_the_files_that_compose_mounts_exist():
    sources = [each.split(":")[0] for service in COMPOSE["services"].values() for each in service.get("volumes", [])]
    assert len(sources) == 6
    assert [each for each in sources if not (ROOT / each).is_file()] == []


def test_compose_runs_the_kafka_that_the_tests_run_on():
    assert COMPOSE["services"]["kafka"]["image"] == f"apache/kafka:{kafka_version()}"


def test_compose_stops_a_container_after_its_requests():
    assert int(COMPOSE["services"]["greenwave"]["stop_grace_period"].rstrip("s")) > GRACEFUL_SECONDS + 5


def environments():
    """Return the variables that each way of deploying sets."""
    app = json.loads((ROOT / "app.json").read_text(encoding="utf-8"))
    return {
        "compose.yaml": COMPOSE["services"]["greenwave"]["environment"],
        "kubernetes": manifest("ConfigMap")["data"],
        "app.json": {name: each.get("value", "") for name, each in app["env"].items()},
    }


@pytest.mark.parametrize("where", ["compose.yaml", "kubernetes", "app.json"])
def test_the_variables_are_settings_that_can_be_used(where):
    variables = environments()[where]
    assert set(variables) - SETTINGS - NOT_OURS == set()
    load({name: value for name, value in variables.items() if name in SETTINGS})


def test_prometheus_scrapes_the_address_of_operators():
    def port(bind):
        return int(bind.rpartition(":")[2])

    template = manifest("Deployment")["spec"]["template"]
    (container,) = template["spec"]["containers"]
    named = {each["name"]: each["containerPort"] for each in container["ports"]}
    admin = port(environments()["kubernetes"]["ADMIN_BIND"])
    assert (port(template["metadata"]["annotations"]["prometheus.io/port"]), named["admin"]) == (admin, admin)
    opened = {rule["ports"][0]["port"]: rule.get("from") for rule in manifest("NetworkPolicy")["spec"]["ingress"]}
    assert opened["http"] is None
    assert opened["admin"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    assert [each["targetPort"] for each in manifest("Service")["spec"]["ports"]] == ["http"]
    scraped = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    (target,) = scraped["scrape_configs"][0]["static_configs"][0]["targets"]
    assert port(target) == port(environments()["compose.yaml"]["ADMIN_BIND"])
    assert str(port(target)) in COMPOSE["services"]["greenwave"]["expose"]


@pytest.mark.parametrize("where", ["compose.yaml", "kubernetes", "app.json", "systemd"])
def test_proxies_of_the_examples_may_state_the_addresses_of_clients(where):
    variables = environments().get(where) or dict(re.findall(r"^Environment=(\w+)=(.+)$", UNIT, re.MULTILINE))
    trusted = networks(variables["TRUSTED_PROXIES"])
    proxy = {"compose.yaml": "172.18.0.6", "systemd": "127.0.0.1"}.get(where, "10.1.2.3")
    assert client_address(proxy, "198.51.100.1, 203.0.113.7", trusted) == "203.0.113.7"


@pytest.mark.parametrize(
    ("where", "limit_mib"),
    [
        ("compose.yaml", int(COMPOSE["services"]["greenwave"]["mem_limit"].rstrip("m"))),
        ("kubernetes", 640),
        ("app.json", 512),
    ],
)
def test_the_memory_of_a_process_fits_its_limit(where, limit_mib):
    settings = load({name: value for name, value in environments()[where].items() if name in SETTINGS})
    needed = 60_000_000 + settings.buffer_bytes * 23 // 8 + 2_000 * settings.max_streams
    assert needed < limit_mib * 1_048_576


def test_app_json_has_the_fields_of_its_format():
    app = json.loads((ROOT / "app.json").read_text(encoding="utf-8"))
    assert set(app) <= {
        "name",
        "description",
        "keywords",
        "stack",
        "buildpacks",
        "formation",
        "env",
        "addons",
        "scripts",
    }
    assert 3 <= len(app["name"]) <= 30
    assert all(set(each) <= {"description", "value", "required", "generator"} for each in app["env"].values())
    assert set(app["formation"]) == {line.split(":")[0] for line in (ROOT / "Procfile").read_text().splitlines()}


# Kubernetes


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("document", MANIFESTS, ids=lambda each: each["kind"])
def test_a_manifest_has_the_form_of_its_schema(document, version):
    kubernetes_validate.validate(document, version, strict=True)


def test_selectors_and_references_of_the_manifests_resolve():
    template = manifest("Deployment")["spec"]["template"]
    labels, (container,) = template["metadata"]["labels"], template["spec"]["containers"]
    for kind, path in (("Service", "selector"), ("Deployment", "selector"), ("PodDisruptionBudget", "selector")):
        selector = manifest(kind)["spec"][path]
        assert (selector.get("matchLabels") or selector).items() <= labels.items()
    assert container["envFrom"][0]["configMapRef"]["name"] == manifest("ConfigMap")["metadata"]["name"]
    backends = [
        path["backend"]["service"] for rule in manifest("Ingress")["spec"]["rules"] for path in rule["http"]["paths"]
    ]
    assert {each["name"] for each in backends} == {manifest("Service")["metadata"]["name"]}
    assert {volume["name"] for volume in template["spec"]["volumes"]} == {"tmp"}


def drain_seconds(where):
    return int(environments()[where].get("DRAIN_SECONDS", 0))


def test_a_pod_has_time_for_what_is_still_running():
    spec = manifest("Deployment")["spec"]["template"]["spec"]
    # docs/operations.md: after the requests the consumer is stopped, which takes a second at most.
    assert spec["terminationGracePeriodSeconds"] >= drain_seconds("kubernetes") + GRACEFUL_SECONDS + 1


def test_a_pod_is_removed_from_its_service_before_its_streams_end():
    container = manifest("Deployment")["spec"]["template"]["spec"]["containers"][0]
    # Kubernetes removes a pod that ends from its endpoints at once; proxies need a moment.
    assert drain_seconds("kubernetes") * WAIT_SHARE >= container["readinessProbe"]["periodSeconds"]


def test_a_pod_ends_after_its_streams_and_requests_within_the_grace_period(tmp_path):
    spec = manifest("Deployment")["spec"]["template"]["spec"]
    with (
        Server(tmp_path / "log", DRAIN_SECONDS="2") as server,
        server.open() as stream,
        server.open("/slow?seconds=4") as request,
    ):
        read_until(stream, b'"initial"')
        until(lambda: server.counts()["sse"] == 1)
        server.process.terminate()
        assert b'"type":"bye"' in rest_of(stream)
        assert rest_of(request).endswith(b"done")
        assert server.process.wait(spec["terminationGracePeriodSeconds"]) == 0


def test_the_probes_ask_routes_that_answer(server):
    container = manifest("Deployment")["spec"]["template"]["spec"]["containers"][0]
    for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
        status, printed = run(
            "curl", "-sf", "-m", "60", f"http://127.0.0.1:{server.port}{container[kind]['httpGet']['path']}"
        )
        assert status == 0, (kind, printed)


def test_the_ingress_passes_what_clients_need_and_nothing_for_operators():
    paths = [each for rule in manifest("Ingress")["spec"]["rules"] for each in rule["http"]["paths"]]

    def is_passed(path):
        return any(
            path == each["path"] or (each["pathType"] == "Prefix" and path.startswith(each["path"] + "/"))
            for each in paths
        )

    assert all(map(is_passed, ("/", "/predictions", "/predictions/ws", "/api/predictions/history", "/static/js/a.js")))
    assert all(map(is_passed, ("/sign-in", "/sign-out", "/docs", "/openapi.json", "/asyncapi.json")))
    assert not any(map(is_passed, ("/metrics", "/api/quarantine", "/api/clients", "/api/health")))


def test_a_pod_runs_without_privileges():
    spec = manifest("Deployment")["spec"]["template"]["spec"]
    user, group = re.search(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE).groups()
    assert (spec["securityContext"]["runAsUser"], spec["securityContext"]["runAsGroup"]) == (int(user), int(group))
    assert spec["containers"][0]["securityContext"] == {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }


# systemd


@pytest.fixture
def unit(tmp_path):
    """Return the unit with the interpreter of this environment, since systemd-analyze looks for the command."""
    path = tmp_path / "greenwave.service"
    path.write_text(UNIT.replace("/opt/greenwave/venv/bin/gunicorn", str(Path(sys.executable).parent / "gunicorn")))
    return path


def test_systemd_accepts_the_unit(unit):
    status, printed = run("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit))
    assert (status, [line for line in printed.splitlines() if "greenwave" in line]) == (0, [])


def test_the_unit_is_confined(unit):
    status, printed = run("systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", str(unit))
    assert status == 0, printed[-1_000:]


def test_the_unit_may_write_the_folder_of_usual_speeds():
    text = (ROOT / "docs/usual.md").read_text(encoding="utf-8")
    folder = re.search(r"USUAL_FILE=/var/lib/([^/]+)/", text)[1]
    assert f"\nStateDirectory={folder}\n" in UNIT


def test_systemd_stops_a_unit_after_its_requests():
    assert int(re.search(r"^TimeoutStopSec=(\d+)$", UNIT, re.MULTILINE)[1]) > GRACEFUL_SECONDS + 5


def test_gunicorn_reports_to_systemd_when_it_is_ready(tmp_path):
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(tmp_path / "notify"))
        notified.settimeout(60)
        with Server(tmp_path / "log", NOTIFY_SOCKET=str(tmp_path / "notify")):
            assert b"READY=1" in notified.recv(4_096)


# Sizing


SIZING = (ROOT / "docs/operations/sizing.md").read_text(encoding="utf-8")


def number(text):
    return float(text.replace(",", ""))


def test_the_open_files_of_a_process_are_those_that_it_wants():
    settings = Settings()
    wanted = Descriptors(settings.web_threads, settings.max_streams, 1 + settings.replay_readers + 4).wanted
    assert f"With the defaults that is {wanted:,}." in SIZING


def test_the_egress_of_kafka_is_that_of_the_formula():
    rows = re.findall(r"^\| ([\d,]+) \| ([\d,]+) \| ([\d.]+) MB/s \| ([\d,]+) \|$", SIZING, re.MULTILINE)
    assert len(rows) == 4
    for processes, streams, egress, fetches in rows:
        assert number(streams) == 5_000 * number(processes)
        assert number(egress) == pytest.approx(number(processes) * 100 * 400 / 1e6)
        assert number(fetches) == number(processes) * 1_000 / Settings().kafka_fetch_max_wait_ms


def test_the_buffer_of_a_process_is_that_of_the_formula():
    rows = re.findall(r"^\| ([\d.]+) (MB|GB) \| ([\d,]+) \| ([\d,]+) \|$", SIZING, re.MULTILINE)
    assert len(rows) == 4
    for memory, unit, buffer_bytes, predictions in rows:
        megabytes = number(memory) * (1_000 if unit == "GB" else 1)
        assert number(buffer_bytes) == pytest.approx((megabytes - 100) * 1e6 / 3.2, rel=0.03)
        assert number(predictions) == pytest.approx(number(buffer_bytes) / 3_100, rel=0.05)
