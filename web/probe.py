"""Ask this host's server whether it is alive: `python -m web.probe`, for the health check of a container.

The exit code is 0 if /healthz answers with 200. The port and the path prefix are those of the settings.
"""

import http.client
import os
import sys

from consumer import load

TIMEOUT_SECONDS = 2.0


def main() -> int:
    """Return the exit code."""
    settings = load(os.environ)
    host = settings.address.strip("[]")
    local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    connection = http.client.HTTPConnection(local, settings.port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", f"{settings.script_name}/healthz")
        return int(connection.getresponse().status != http.HTTPStatus.OK)
    except OSError:
        return 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
