"""The product as it is served, compared with its OpenAPI document by Schemathesis."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.consumer.helpers import message
from tests.integration.test_serving import ready
from tests.properties import PROFILE
from tests.web.access.tokens_file import tokens_file
from tests.web.server.test_worker import read_until, until

HOOKS = Path(__file__).with_name("schemathesis_hooks.py")
ACCESS = ("none", "token", "limited") if PROFILE == "long" else ("none",)
LONG_SECONDS = 600 // len(ACCESS)
LENGTH = ("--max-time", str(LONG_SECONDS)) if PROFILE == "long" else ("--max-examples", "1")
"""Ten minutes in all in `make test-long`, an example of each kind elsewhere."""
CONFIGURATION = """
[checks]
enabled = false
not_a_server_error.enabled = true
status_code_conformance.enabled = true
content_type_conformance.enabled = true
response_headers_conformance.enabled = true
response_schema_conformance.enabled = true
unsupported_method.enabled = true
allow_header_conformance.enabled = true
# Schemathesis compares each event of a stream with the schema, which in OpenAPI 3.1 is that of the whole body.
[[operations]]
include-operation-id = ["stream", "api_stream"]
checks.response_schema_conformance.enabled = false
"""
NETWORK = {
    "type": "FeatureCollection",
    "features": [{"type": "Feature", "id": "LA_001", "geometry": {"type": "Point", "coordinates": [-118.2, 34.0]}}],
}


def attack(server, tmp_path, *options):
    """Run Schemathesis against a server; return what it wrote and its exit code."""
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{server.port}/openapi.json"),
        *("--phases", "examples,coverage,fuzzing", "--request-timeout", "30", "--no-color"),
        *("--seed", "18", "--continue-on-failure", "--warnings", "off", *LENGTH, *options),
    ]
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    environ = {"SCHEMATHESIS_HOOKS": str(HOOKS), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(command, check=False, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=900)
    return done.stdout + done.stderr, done.returncode


@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("access", ACCESS)
def test_answers_are_those_of_the_document(serve, produce, tmp_path, access):
    produce(*[message(f"LA_{number:03}", horizon_minutes=15, road_name="I-405 N") for number in range(20)], b"no json")
    (tmp_path / "network.geojson").write_text(json.dumps(NETWORK))
    every_role = {"roles": ["operator", "publisher"]}
    tokens = tokens_file(tmp_path / "tokens.toml", token=every_role, limited={"segments": ["LA_001"]})
    server = serve(
        AUTH="none" if access == "none" else "token",
        AUTH_TOKENS_FILE=str(tokens.path),
        PUBLISH="1",
        USUAL_FILE=str(tmp_path / "usual.db"),
        ACKNOWLEDGEMENTS_FILE=str(tmp_path / "acknowledgements.db"),
        NETWORK_FILE=str(tmp_path / "network.geojson"),
        MAX_STREAMS="1",
    )
    until(lambda: ready(server))
    headers = {} if access == "none" else {"Authorization": f"Bearer {tokens[access]}"}
    # It has the only slot, so the other streams get `busy` and end. It gets heartbeats alone.
    with server.open("/predictions/stream?segment=none", **headers) as stream:
        read_until(stream, b'"initial"')
        given = [option for name, value in headers.items() for option in ("--header", f"{name}: {value}")]
        output, code = attack(server, tmp_path, *given)
    assert code == 0, output
    assert "No issues found" in output
    assert "Traceback" not in server.log.read_text()
