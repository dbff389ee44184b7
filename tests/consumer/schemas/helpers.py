"""A schema registry for tests, and the framing of what producers send by it."""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from consumer.settings import Settings

PREDICTION = {
    "type": "record",
    "name": "Prediction",
    "namespace": "city",
    "fields": [
        {"name": "segment_id", "type": "string"},
        {"name": "timestamp", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "predicted_speed", "type": "double"},
        {"name": "current_speed", "type": ["null", "double"], "default": None},
    ],
}
PROTO = """
syntax = "proto3";
package city;
message Prediction {
  string segment_id = 1;
  int64 timestamp = 2;
  double predicted_speed = 3;
  optional double current_speed = 4;
}
"""
NOT_FOUND = (404, json.dumps({"error_code": 40403, "message": "Schema not found"}).encode())


def framed(schema_id, payload):
    """Return a payload in the wire format."""
    return b"\0" + schema_id.to_bytes(4, "big") + payload


def answer_of(schema, kind=None, references=None):
    """Return the answer of a registry that has a schema."""
    text = schema if isinstance(schema, str) else json.dumps(schema)
    more = {"schemaType": kind} if kind else {}
    return 200, json.dumps({"schema": text, **more, **({"references": references} if references else {})}).encode()


class FakeRegistry:
    """A registry whose answers tests set: by path, or `fault` for all of them: a function of the request's handler."""

    def __init__(self, tls=None):
        self.answers = {}
        self.fault = None
        self.requests = []
        self.headers = []
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                registry.requests.append(self.path)
                registry.headers.append(self.headers)
                if registry.fault is not None:
                    registry.fault(self)
                    return
                self.answer(*registry.answers.get(self.path, NOT_FOUND))

            def answer(self, status, body):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = False

            def handle_error(self, *_):
                pass  # a client that hangs up

        self.server = Server(("127.0.0.1", 0), Handler)
        if tls is not None:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self.server.server_address[1]}"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self._thread.start()

    def has(self, schema_id, schema, kind=None, references=None):
        """Give a schema an id."""
        self.answers[f"/schemas/ids/{schema_id}"] = answer_of(schema, kind, references)

    def has_version(self, subject, version, schema, kind=None, references=None):
        """Give a subject a version, which others may refer to."""
        self.answers[f"/subjects/{subject}/versions/{version}"] = answer_of(schema, kind, references)

    def settings(self, **more):
        """Return settings that name this registry."""
        return Settings(schema_registry_url=self.url, **more)

    def close(self):
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()


@contextlib.contextmanager
def fake_registry(tls=None):
    """Run a registry, with a context for TLS if that is given."""
    registry = FakeRegistry(tls)
    try:
        yield registry
    finally:
        registry.close()
