"""A process whose acknowledgements tests read and change."""

import http.client
import json

from tests.web.server.test_worker import Server

PATH = "/api/acknowledgements"
SPAN = {"kind": "severe", "since": 1_000, "until": 2_000}


class Process(Server):
    """A process as it is served; the requests of a test."""

    def ask(self, method, path, body=None):
        """Return the status and the content of an answer."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=120)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def seen(self):
        """Return the acknowledgements as (segment, name, note); None while there is no answer."""
        status, answer = self.ask("GET", PATH)
        if status != 200:
            return None
        return sorted((each["segment_id"], each["name"], each["note"]) for each in answer["data"]["acknowledgements"])

    def change(self, action, segment, **more):
        """Change one acknowledgement; return status and answer."""
        return self.ask("POST", PATH, {"action": action, "alerts": [{"segment_id": segment, **SPAN}], **more})

    def knows(self, count):
        """Tell whether so many segments are in the view."""
        return len(self.ask("GET", "/api/predictions")[1]["data"]["predictions"]) == count
