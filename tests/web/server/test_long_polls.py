"""Long polls in a real gunicorn: while they wait, the hub has their sockets, and they hold no thread."""

import contextlib
import gzip
import json
import os
import signal
from email.parser import BytesParser

import pytest

from tests.web.server.test_worker import Server, rest_of, until


@pytest.fixture
def start(tmp_path, integration):
    """Start a server with few threads; return it and the cursor of its view."""
    with contextlib.ExitStack() as stack:

        def start(**environ):
            server = stack.enter_context(Server(tmp_path / "log", WEB_THREADS="4", **environ))
            return server, until(lambda: json.loads(server.get("/api/predictions"))["data"]["cursor"])

        yield start


def poll(server, cursor, query="", wait="25", version="1.1", **headers):
    """Send a long poll and return its socket."""
    path = f"/api/predictions?after={cursor}&wait={wait}{query}"
    lines = [f"GET {path} HTTP/{version}", "Host: test", *[f"{name}: {value}" for name, value in headers.items()]]
    return server.open_raw("\r\n".join([*lines, "", ""]).encode())


def until_waiting(server, count, *clients):
    """Wait until so many long polls wait, and the worker has no connections but those of this function.

    A failure shows what the server has answered to `clients` instead.
    """
    counts = {}

    def is_reached():
        counts.update({"long_poll": 0, **server.counts()})
        return counts["long_poll"] == count and counts["connections"] <= 2

    try:
        until(is_reached)
    except AssertionError as error:
        error.add_note(f"{counts}\n{[client.recv(65_536) for client in clients]}\n{server.log.read_text()}")
        raise


def parsed(response):
    """Return the status line, the headers and the data of one response that ended with its connection."""
    start, _, rest = response.partition(b"\r\n")
    headers, _, body = rest.partition(b"\r\n\r\n")
    fields = BytesParser().parsebytes(headers + b"\r\n\r\n")
    assert len(body) == int(fields["Content-Length"])
    if fields["Content-Encoding"] == "gzip":
        body = gzip.decompress(body)
    answer = json.loads(body)
    return start, fields, answer.get("data", answer)


def answer_of(client):
    line, _, data = parsed(rest_of(client))
    assert line == b"HTTP/1.1 200 OK"
    return data


def segments(data):
    return [each["segment_id"] for each in data["predictions"]]


def test_100_long_polls_hold_no_thread_and_get_one_record(start):
    server, cursor = start()
    clients = [poll(server, cursor) for _ in range(100)]
    until_waiting(server, 100)
    server.get("/publish?from=0&to=1")
    answers = [answer_of(client) for client in clients]
    assert all(segments(each) == ["n0"] and each["left"] == [] and not each["more"] for each in answers)
    (after,) = {each["cursor"] for each in answers}
    assert after != cursor
    assert json.loads(server.get(f"/api/predictions?after={after}"))["data"]["predictions"] == []
    until_waiting(server, 0)
    assert "Traceback" not in server.log.read_text()


def test_response_of_a_long_poll_that_waited_is_like_any_other(start):
    server, cursor = start()
    client = poll(server, cursor)
    until_waiting(server, 1, client)
    server.get("/publish?from=0&to=1")
    _, waited, _ = parsed(rest_of(client))
    _, plain, _ = parsed(rest_of(poll(server, cursor, Connection="close")))
    assert sorted(waited.keys()) == sorted(key for key in plain if key != "Server")
    for name in set(waited) - {"Date", "Content-Length", "X-Request-ID"}:
        assert waited[name] == plain[name]


def test_large_answer_is_compressed_for_clients_that_accept_it(start):
    server, cursor = start()
    clients = [poll(server, cursor, **{"Accept-Encoding": encoding}) for encoding in ("gzip", "identity")]
    until_waiting(server, 2)
    server.get("/burst")
    (_, zipped, first), (_, plain, second) = [parsed(rest_of(client)) for client in clients]
    assert (zipped["Content-Encoding"], plain["Content-Encoding"]) == ("gzip", None)
    assert segments(first) == segments(second) == [f"b{number}" for number in range(20)]


def test_deadline_gives_an_empty_answer_with_the_cursor(start):
    server, cursor = start()
    data = answer_of(poll(server, cursor, wait="0.5"))
    assert (data["predictions"], data["left"], data["cursor"], data["more"]) == ([], [], cursor, False)


def test_filter_lets_only_matches_end_the_wait(start):
    server, cursor = start()
    client = poll(server, cursor, "&segment=n7")
    until_waiting(server, 1, client)
    server.get("/publish?from=0&to=7")
    view = until(lambda: len((data := json.loads(server.get("/api/predictions"))["data"])["predictions"]) == 7 and data)
    late = poll(server, view["cursor"])
    until_waiting(server, 2)
    server.get("/publish?from=7&to=8")
    assert segments(answer_of(client)) == segments(answer_of(late)) == ["n7"]


def test_gap_while_waiting_gives_the_view_to_all(start):
    server, cursor = start()
    clients = [poll(server, cursor) for _ in range(20)]
    until_waiting(server, 20)
    server.get("/recreate")
    for client in clients:
        data = answer_of(client)
        assert data["gap"]["reason"] == "topic_recreated"
        assert (data["predictions"], data["stats"]["total"]) == ([], 0)


def test_long_polls_are_answered_when_the_process_ends(start):
    server, cursor = start()
    clients = [poll(server, cursor) for _ in range(20)]
    until_waiting(server, 20)
    os.killpg(server.process.pid, signal.SIGTERM)
    for client in clients:
        data = answer_of(client)
        assert (data["predictions"], data["cursor"]) == ([], cursor)
    assert server.process.wait(10) == 0


def test_long_poll_over_http_1_0_is_answered(start):
    server, cursor = start()
    client = poll(server, cursor, version="1.0")
    until_waiting(server, 1, client)
    server.get("/publish?from=0&to=1")
    assert segments(answer_of(client)) == ["n0"]


def test_head_request_waits_on_its_thread(start):
    server, cursor = start()
    head = f"HEAD /api/predictions?after={cursor}&wait=25 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
    client = server.open_raw(head.encode())
    # Its connection stays with the worker, beside that of the question.
    until(lambda: (now := server.counts()).get("long_poll") == 1 and now["connections"] == 2)
    server.get("/publish?from=0&to=1")
    assert rest_of(client).endswith(b"\r\n\r\n")


def test_long_poll_without_a_free_stream_slot_answers_at_once(start):
    server, cursor = start(MAX_STREAMS="2")
    clients = [poll(server, cursor) for _ in range(2)]
    until_waiting(server, 2)
    assert answer_of(poll(server, cursor, Connection="close"))["predictions"] == []
    for client in clients:
        client.close()
    until_waiting(server, 0)


def test_metrics_count_waiting_long_polls(start):
    server, cursor = start()
    client = poll(server, cursor)
    until_waiting(server, 1, client)
    assert b'transport="long_poll"} 1' in server.get("/metrics")
    client.close()


def test_request_on_a_kept_connection_can_wait(start):
    server, cursor = start()
    client = server.open_raw(b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n")
    client.sendall(f"GET /api/predictions?after={cursor}&wait=25 HTTP/1.1\r\nHost: test\r\n\r\n".encode())
    until_waiting(server, 1, client)
    server.get("/publish?from=0&to=1")
    seen = rest_of(client)
    assert segments(parsed(seen[seen.rindex(b"HTTP/1.1 200 OK") :])[2]) == ["n0"]
