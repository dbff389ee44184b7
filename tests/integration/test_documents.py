"""The product as it is served, compared with its OpenAPI document by Schemathesis."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.consumer.helpers import message
from tests.integration.test_serving import ready
from tests.web.server.test_worker import until

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,unsupported_method,allow_header_conformance"
)
HOOKS = Path(__file__).with_name("schemathesis_hooks.py")
OPERATIONS = ("stream", "api_stream", "websocket")
"""Operations that are not requested: their answers don't end. The check of their parameters is."""


def attack(server, tmp_path, *options):
    """Run Schemathesis against a server; return what it wrote and its exit code."""
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{server.port}/openapi.json"),
        *("--checks", CHECKS, "--phases", "examples,coverage,fuzzing", "--request-timeout", "30", "--no-color"),
        *("--seed", "18", "--continue-on-failure", "--warnings", "off"),
        *[f"--exclude-operation-id={each}" for each in OPERATIONS],
        *options,
    ]
    environ = {"SCHEMATHESIS_HOOKS": str(HOOKS), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(command, check=False, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=500)
    return done.stdout + done.stderr, done.returncode


@pytest.mark.timeout(600)
def test_answers_are_those_of_the_document(serve, produce, tmp_path):
    produce(*[message(f"LA_{number:03}", horizon_minutes=15, road_name="I-405 N") for number in range(20)], b"no json")
    server = serve()
    until(lambda: ready(server))
    output, code = attack(server, tmp_path, "--max-examples", "1")
    assert code == 0, output
    assert "No issues found" in output
