"""One HTTP request to the loopback."""

import http.client
import json
from collections.abc import Mapping
from typing import Any

TIMEOUT_SECONDS = 10.0


def get(port: int, path: str, **headers: str) -> tuple[dict[str, str], bytes]:
    """Return headers (lower case) and body of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def head(port: int, path: str, headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers (lower case) of an answer to GET, without its body; `:status` is the status."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", path, headers=dict(headers))
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        answer.close()
        return {**found, ":status": str(answer.status)}
    finally:
        connection.close()


def get_json(port: int, path: str) -> Any:
    """Return the body of an answer, read as JSON."""
    return json.loads(get(port, path)[1])
