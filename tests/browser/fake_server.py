"""A fake server with the page's part of the contract, over loopback, with faults on demand.

It serves the real template and static files. Its log is one list of messages; a cursor is a place in that list. The
real server is tested with the page too (test_real_server.py); this one can do what is hard to provoke there.
"""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from socket import SHUT_RDWR
from typing import Any

from flask import Flask, Response, jsonify, render_template, request
from flask_sock import Sock
from simple_websocket import ConnectionClosed, Server
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server
from werkzeug.test import run_wsgi_app

from tests.templates import TEMPLATES
from web.answers import responses
from web.api.polling import SegmentName
from web.page import assets, roads, texts
from web.page.pages import CONTENT_SECURITY_POLICY

ROOT = Path(__file__).resolve().parents[2]
CONFIG = {
    "title": "Greenwave",
    "speed_unit": "mph",
    "time_zone": "America/Los_Angeles",
    "thresholds_mph": [60, 45, 30],
    "expected_interval_seconds": 300,
    "max_age_seconds": 86400,
    "topic": "traffic-predictions",
    "poll_seconds": 5,
    "heartbeat_seconds": 15,
    "map_tiles": "",
    "map_attribution": "",
    "has_network": False,
    "shares_acknowledgements": False,
    "user": "",
    "may_operate": True,
    "outlines": "/static/vendor/us-atlas/counties-10m.json",
    "usual_timezone": None,
    "charts": {"script": "/static/vendor/uplot/uPlot.iife.min.js", "style": "/static/vendor/uplot/uPlot.min.css"},
}
HEARTBEAT_SECONDS = 0.2

Message = dict[str, Any]


def read_whole(response: Response) -> Response:
    """Read a file before it is sent, and close it: werkzeug's server doesn't when the client resets the connection."""
    if request.endpoint == "static":
        response.direct_passthrough = False
        response.get_data()
        response.close()
    return response


def compress_data(response: Response) -> Response:
    """Compress JSON as the real server does, so that the page's transfers are as large as there."""
    # `assets` has compressed files; that a file has not changed needs no body.
    if response.is_json and response.status_code != 304 and "Content-Encoding" not in response.headers:
        body, headers = responses.encoded(response.get_data(), responses.takes_gzip())
        response.set_data(body)
        response.headers.update(headers)
    return response


class StaticResponses:
    """WSGI middleware that keeps responses with whole static files: a page requests a hundred of them."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], tuple[str, Any, list[bytes]]] = {}

    def in_front_of(self, app: Any) -> Any:
        """Return the app with this in front of it."""

        def answer(environ: dict[str, Any], start_response: Any) -> Any:
            path, is_conditional = environ["PATH_INFO"], "HTTP_IF_NONE_MATCH" in environ
            if environ["REQUEST_METHOD"] != "GET" or not path.startswith("/static/") or is_conditional:
                return app(environ, start_response)
            asked = path, environ.get("HTTP_ACCEPT_ENCODING", "")
            if asked not in self._kept:
                body, status, headers = run_wsgi_app(app, environ, buffered=True)
                self._kept[asked] = status, list(headers), list(body)
            status, headers, body = self._kept[asked]
            start_response(status, headers)
            return body

        return answer


STATIC = StaticResponses()
"""Shared by all servers of a process."""


class Quiet(WSGIRequestHandler):
    """Request handler without a log."""

    def log(self, type: str, message: str, *args: Any) -> None:
        """Discard a log line."""


def _key(prediction: Message) -> tuple[str, str]:
    """Return by what the view has a prediction; a horizon may be of any type."""
    return prediction["segment_id"], str(prediction.get("horizon_minutes"))


class FakeServer:
    """Start with start(); `mode` is what a stream does: ok, refused, hanging, silent, busy or no_sse (WebSocket)."""

    def __init__(self, **config: Any) -> None:
        self.config = CONFIG | config
        self.mode = "ok"
        self.status: Message = {"state": "live", "since": now_iso(), "reason": "", "retry_in": None}
        self.log: list[Message] = []
        self.latest: dict[str, Message] = {}
        self.view: dict[tuple[str, str], Message] = {}
        self.observed: dict[str, Message] = {}
        self.last_record_age: float | None = None
        self.holds_view_back = False
        self.stats: Message = {}
        self.usual: dict[str, Message] = {}
        self.usual_asked: list[str] = []
        self.score_report: Message = {}
        self.acknowledged: list[Message] = []
        self.network: Message = {"type": "FeatureCollection", "features": []}
        self.delivered: list[tuple[str, int]] = []
        self.open_streams = 0
        self.most_streams = 0
        self.streams_asked = 0
        self.sockets_asked = 0
        self.polls = 0
        self._changed = threading.Condition()
        self._alive = 0
        self._server: BaseWSGIServer | None = None
        self._thread: threading.Thread | None = None
        self._port = 0

    # Controls

    @property
    def url(self) -> str:
        """The address, also after a stop()."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listen, on the same port after a stop()."""
        self._server = make_server("127.0.0.1", self._port, self._app(), threaded=True, request_handler=Quiet)
        self._port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="fake-server")
        self._thread.start()

    def stop(self) -> None:
        """Close the listening socket, and cut all streams."""
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server = None
        self.cut_streams()

    def cut_streams(self) -> None:
        """Cut all streams, and wait until they are closed."""
        with self._changed:
            self._alive += 1
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self.open_streams == 0, 60)

    def publish(self, segment_id: str, predicted_speed: float = 50.0, **fields: Any) -> Message:
        """Append a prediction and return it."""
        return self.publish_all([prediction(segment_id, predicted_speed, **fields)])[0]

    def publish_all(self, predictions: list[Message]) -> list[Message]:
        """Append predictions at once."""
        with self._changed:
            for each in predictions:
                self.log.append({"type": "prediction", "data": each})
                if not each.get("late"):
                    self.latest[each["segment_id"]] = each
                    self.view[_key(each)] = each
            self._changed.notify_all()
        return predictions

    def observe(self, segment_id: str, current_speed: float) -> None:
        """Append a measured speed without a prediction."""
        at = int(time.time() * 1000)
        data: Message = {"segment_id": segment_id, "timestamp": at, "current_speed": current_speed}
        self.observed[segment_id] = data
        self._append({"type": "observation", "data": data})

    def remove(self, segment_id: str) -> None:
        """Remove a segment from the view."""
        self._append({"type": "left", "segment_id": segment_id, "horizon_minutes": None, "reason": "removed"})
        self.latest.pop(segment_id, None)
        self.view = {key: each for key, each in self.view.items() if key[0] != segment_id}

    def gap(self, reason: str, missed: int | None, predictions: list[Message]) -> None:
        """Send a gap, and a new view."""
        with self._changed:
            self.latest = {each["segment_id"]: each for each in predictions}
            self.view = {_key(each): each for each in predictions}
            self.log.append({"type": "gap", "reason": reason, "missed": missed})
            self.log.append({"type": "initial", "predictions": predictions, "count": len(predictions)})
            self._changed.notify_all()

    def announce(self, state: str, reason: str = "", retry_in: float | None = None) -> None:
        """Send a new state of the consumer."""
        self.status = {"state": state, "since": now_iso(), "reason": reason, "retry_in": retry_in}
        self._append({"type": "status", **self.status})

    def sum_up(self, **stats: Any) -> None:
        """Send statistics."""
        self.stats = stats
        self._append({"type": "stats", "data": stats})

    def wait_for_streams(self, count: int, seconds: float = 60) -> None:
        """Wait until a number of streams is open."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.open_streams == count, seconds), self.open_streams

    # The contract

    def _append(self, message: Message) -> None:
        with self._changed:
            self.log.append(message)
            self._changed.notify_all()

    def _app(self) -> Flask:
        app = Flask("fake", root_path=str(ROOT))
        app.jinja_options = {"bytecode_cache": TEMPLATES}
        app.url_map.converters["segment"] = SegmentName
        assets.compress(app)
        texts.register(app)
        app.after_request(compress_data)
        app.after_request(read_whole)  # runs first: the last that is added does
        app.add_url_rule("/predictions", view_func=self._page, endpoint="page")
        app.add_url_rule("/predictions/embed", view_func=self._embed, endpoint="embed")
        app.add_url_rule("/predictions/road/<path:name>", view_func=self._road, endpoint="road")
        app.add_url_rule("/sign-in", view_func=self._sign_in, endpoint="sign_in.sign_in")
        app.add_url_rule("/api/network", view_func=lambda: self.network, endpoint="network")
        app.add_url_rule("/predictions/stream", view_func=self._stream, endpoint="stream")
        app.before_request(self._refuse_sockets)
        Sock(app).route("/predictions/ws")(self._websocket)
        app.add_url_rule("/api/predictions", view_func=self._poll, endpoint="poll")
        app.add_url_rule("/api/predictions/history", view_func=self._history, endpoint="history")
        one = "/api/predictions/<segment:segment_id>"
        app.add_url_rule(one, view_func=self._segment, endpoint="segment", merge_slashes=False)
        app.add_url_rule("/api/acknowledgements", view_func=self._acknowledgements, methods=["GET", "POST"])
        app.add_url_rule("/api/health", view_func=self._health, endpoint="health")
        app.add_url_rule("/api/usual", view_func=self._usual, endpoint="usual")
        app.add_url_rule("/api/scores", view_func=self._scores, endpoint="scores")
        app.wsgi_app = STATIC.in_front_of(app.wsgi_app)  # type: ignore[method-assign]
        return app

    def _page(self) -> Response:
        wall = request.args.get("wall") == "1"
        theme = request.args.get("theme", "dark") if wall else None
        page = render_template("predictions.html", config=self.config, wall=wall, theme=theme)
        return Response(page, headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY}, mimetype="text/html")

    def _road(self, name: str) -> Response:
        with self._changed:
            names = [each["road_name"] for each in self.latest.values() if each.get("road_name")]
        known, road = roads.roads_of(names), roads.blanks_in(name)
        config = self.config | {"road": road, "road_filter": roads.filter_for(road, names)}
        others = [each for each in known if each != road]
        shown = {"others": others, "opposite": roads.opposite(road, known), "path_of": roads.path_of}
        page = render_template("road.html", config=config, **shown)
        return Response(page, headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY}, mimetype="text/html")

    def _sign_in(self) -> str:
        return render_template("sign_in.html", target="/predictions", error=request.args.get("error"))

    def _embed(self) -> Response:
        shown, config = request.args.get("show", "both"), self.config | {"whole": "/predictions?road=I-5+N"}
        page = render_template("predictions.html", config=config, embedded=shown, theme=request.args.get("theme"))
        return Response(page, headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY}, mimetype="text/html")

    def _acknowledgements(self) -> Response:
        given = request.get_json() if request.method == "POST" else {"alerts": [], "action": "read"}
        for alert in given["alerts"]:
            others = [each for each in self.acknowledged if each["segment_id"] != alert["segment_id"]]
            who = {"name": given.get("name", self.config["user"]), "note": given.get("note", "")}
            said = [{**alert, **who, "at": int(time.time() * 1000)}] if given["action"] == "acknowledge" else []
            self.acknowledged = others + said
        return jsonify(success=True, data={"state": "shared", "acknowledgements": self.acknowledged})

    def _health(self) -> Response:
        return jsonify(success=True, data=self.status | {"consumer": {"last_record_age_seconds": self.last_record_age}})

    def _poll(self) -> Response | tuple[Response, int]:
        self.polls += 1
        after = request.args.get("after")
        if after is not None and not after.isdigit():
            return jsonify(success=False, error="after can't be used"), 400
        with self._changed:
            data: Message = {"cursor": str(len(self.log)), "timestamp": now_iso()}
            news = self.log[int(after) :] if after else []
            gap = next((each for each in news if each["type"] == "gap"), None)
            if after is None or gap:
                data |= {"predictions": list(self.view.values()), "stats": self.stats}
                data |= {"gap": {"reason": gap["reason"], "missed": gap["missed"]}} if gap else {}
            else:
                data |= {"predictions": [], "left": [], "more": False}
                for index, message in enumerate(news, int(after)):
                    self._collect(data, index, message)
        return jsonify(success=True, data=data)

    def _predictions(self) -> list[Message]:
        with self._changed:
            return [each["data"] for each in self.log if each["type"] == "prediction"]

    def _segment(self, segment_id: str) -> Response | tuple[Response, int]:
        found = [each for each in self._predictions() if each["segment_id"] == segment_id]
        with self._changed:
            observed = [each["data"] for each in self.log if each["type"] == "observation"]
        observations = [each for each in observed if each["segment_id"] == segment_id]
        if not found and not observations:
            return jsonify(success=False, error="not known"), 404
        data = {"segment_id": segment_id, "latest": found[-1:], "history": found, "observations": observations}
        return jsonify(success=True, data=data)

    def _history(self) -> Response:
        begin, limit = int(request.args.get("after") or 0), int(request.args.get("limit") or 1000)
        wanted = request.args.getlist("segment")
        since = int(request.args.get("since") or 0)
        found = [each for each in self._predictions() if not wanted or each["segment_id"] in wanted]
        found = [each for each in found if each["timestamp"] >= since]
        if last := request.args.get("last", type=int):  # of one horizon
            newest = {name: [each for each in found if each["segment_id"] == name][-last:] for name in wanted}
            found = [each for each in found if any(each is one for one in newest[each["segment_id"]])]
            limit = len(found)
        page, end = found[begin : begin + limit], begin + limit
        return jsonify(success=True, data={"predictions": page, "cursor": str(end), "more": end < len(found)})

    def _usual(self) -> Response:
        """Answer with the usual speeds, which are the same at all times."""
        segment_id = request.args.get("segment_id")
        self.usual_asked.append(segment_id or request.args.get("at", ""))
        if segment_id is None:
            return jsonify(success=True, data={"time": "00:00", "segments": self.usual})
        return jsonify(success=True, data={"segment_id": segment_id, "quarters": [self.usual.get(segment_id)] * 96})

    def _scores(self) -> Response:
        """Answer with the score report."""
        return jsonify(success=True, data=self.score_report)

    def _collect(self, data: Message, index: int, message: Message) -> None:
        if message["type"] == "prediction":
            data["predictions"].append(message["data"])
            self.delivered.append(("poll", index))
        elif message["type"] == "left":
            data["left"].append({**message, "at": len(data["predictions"])})

    def _stream(self) -> Response | tuple[str, int]:
        self.streams_asked += 1
        if self.mode in ("refused", "no_sse"):
            return "blocked", 403
        after = request.args.get("after")
        frames = self._busy() if self.mode == "busy" else self._frames(int(after) if after else None, self._alive)
        return Response(frames, mimetype="text/event-stream", headers={"Cache-Control": "no-cache, no-transform"})

    def _refuse_sockets(self) -> tuple[str, int] | None:
        is_socket = request.path == "/predictions/ws"
        self.sockets_asked += is_socket
        return ("blocked", 403) if is_socket and self.mode == "refused" else None

    def _websocket(self, socket: Server) -> None:
        """Send the events of the stream as messages."""
        if self.mode == "busy":
            socket.close(1013, "full")
            socket.thread.join()  # until the client has answered
            request.environ["werkzeug.socket"].shutdown(SHUT_RDWR)  # Werkzeug's own response must not follow
            return
        after = request.args.get("after")
        frames = self._frames(int(after) if after else None, self._alive)
        with contextlib.closing(frames), contextlib.suppress(ConnectionClosed):  # type: ignore[type-var]
            for each in frames:
                if not socket.connected:
                    return
                for text in ['{"type":"position"}'] if b"heartbeat" in each else as_messages(each):
                    socket.send(text)

    def _busy(self) -> Iterator[bytes]:
        yield b"retry: 3000\n\n" + frame({"type": "busy", "message": "full"})

    def _frames(self, place: int | None, alive: int) -> Iterator[bytes]:
        mode = self.mode
        with self._changed:
            self.open_streams += 1
            self.most_streams = max(self.most_streams, self.open_streams)
            self._changed.notify_all()
        try:
            if mode == "hanging":
                yield from self._hang(alive)
                return
            yield b": padding\n\nretry: 1000\n\n" + frame(self._greeting())
            yield frame({"type": "status", **self.status})
            if self.stats:
                yield frame({"type": "stats", "data": self.stats})
            yield from self._follow(place, alive, mode)
        finally:
            with self._changed:
                self.open_streams -= 1
                self._changed.notify_all()

    def _greeting(self) -> Message:
        beat = self.config["heartbeat_seconds"]
        return {"type": "connected", "message": "hello", "timestamp": now_iso(), "heartbeat_seconds": beat}

    def _hang(self, alive: int) -> Iterator[bytes]:
        while self._alive == alive:
            time.sleep(HEARTBEAT_SECONDS)
            yield b": padding\n\n"

    def _follow(self, place: int | None, alive: int, mode: str) -> Iterator[bytes]:
        if place is None:
            with self._changed:
                place, view = len(self.log), list(self.view.values())
            yield from self._view(view, place, alive)
        while self._alive == alive:
            news = self._news(place, alive)
            if mode == "silent" or self.mode == "silent":
                continue
            yield b": padding\n\n".join(self._numbered(news, place)) or b": heartbeat\n\n"
            place += len(news)

    def _view(self, view: list[Message], place: int, alive: int) -> Iterator[bytes]:
        """Yield the view; in two parts, with the second one held back, if that is wanted."""
        if not self.holds_view_back:
            yield frame({"type": "initial", "predictions": view, "count": len(view)} | self._observations(), place)
            return
        yield frame({"type": "initial", "predictions": view[:1], "count": len(view)})
        while self.holds_view_back and self._alive == alive:
            time.sleep(0.02)
            yield b": heartbeat\n\n"
        for each in view[1:-1]:
            yield frame({"type": "prediction", "data": each})
        yield frame({"type": "prediction", "data": view[-1]}, place)

    def _observations(self) -> Message:
        observations = list(self.observed.values())
        return {"observations": observations, "observation_count": len(observations)}

    def _news(self, place: int, alive: int) -> list[Message]:
        with self._changed:
            self._changed.wait_for(lambda: len(self.log) > place or self._alive != alive, HEARTBEAT_SECONDS)
            return self.log[place:] if self._alive == alive else []

    def _numbered(self, news: list[Message], place: int) -> Iterator[bytes]:
        for index, message in enumerate(news, place):
            if message["type"] == "prediction":
                self.delivered.append(("sse", index))
            yield frame(
                message, index + 1 if message["type"] in ("prediction", "observation", "left", "initial") else None
            )


def frame(message: Message, cursor: int | None = None) -> bytes:
    """Return one SSE event."""
    prefix = f"id: {cursor}\n" if cursor is not None else ""
    return f"{prefix}data: {json.dumps(message, separators=(',', ':'))}\n\n".encode()


def as_messages(frames: bytes) -> Iterator[str]:
    """Convert SSE events to the messages of a WebSocket."""
    for each in frames.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in each.split("\n") if ": " in line)
        if "data" in fields:
            cursor = {"cursor": fields["id"]} if "id" in fields else {}
            yield json.dumps(json.loads(fields["data"]) | cursor)


def now_iso() -> str:
    """Return the current time."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def categorise(speed: float) -> str:
    """Return the category of a speed in mph."""
    names = ("free_flow", "moderate_traffic", "heavy_traffic")
    return next((name for name, bound in zip(names, (60, 45, 30), strict=True) if speed >= bound), "severe_congestion")


def prediction(segment_id: str, predicted_speed: float = 50.0, **fields: Any) -> Message:
    """Return a prediction with the current time, as the server sends it."""
    current = fields.pop("current_speed", 52.0)
    return {
        "segment_id": segment_id,
        "timestamp": int(time.time() * 1000),
        "prediction_time": now_iso(),
        "horizon_minutes": None,
        "current_speed": current,
        "predicted_speed": predicted_speed,
        "speed_diff": None if current is None else round(predicted_speed - current, 2),
        "current_volume": None,
        "category": categorise(predicted_speed),
        **fields,
    }
