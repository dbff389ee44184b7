"""A stand-in for gunicorn: a server that is ready after the number of seconds in its argument."""

import http.server
import json
import os
import sys
import time

BEGIN = time.monotonic()
READY_AFTER = float(sys.argv[1])


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers /readyz like the product, and any other path with its environment."""

    def do_GET(self):
        """Answer."""
        ready = time.monotonic() - BEGIN >= READY_AFTER
        answer = {"error": "not ready: warming up"} if self.path == "/readyz" else {"environ": dict(os.environ)}
        self.send_response(200 if ready or self.path != "/readyz" else 503)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *arguments):
        """Log nothing."""


sys.stdout.write("stand-in serves\n")
sys.stdout.flush()
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
