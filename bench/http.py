"""One HTTP request to the loopback."""

import http.client
import json
from typing import Any


def get(port: int, path: str, **headers: str) -> tuple[dict[str, str], bytes]:
    """Return headers (lower case) and body of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def get_json(port: int, path: str) -> Any:
    """Return the body of an answer, read as JSON."""
    return json.loads(get(port, path)[1])
