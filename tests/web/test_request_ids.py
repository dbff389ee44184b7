"""Request ids: in the answer, in error bodies, and in what is logged while a request is handled."""

import pytest

from web.logs import request_id


def test_a_well_formed_id_is_kept(client, live):
    answer = client.get("/healthz", headers={"X-Request-ID": "3fa8-5c.b_7:1/x=@+"})
    assert answer.headers["X-Request-ID"] == "3fa8-5c.b_7:1/x=@+"


@pytest.mark.parametrize("given", ["", " ", "a b", '{"a":1}', "a" * 129, "é", "-a", "a;b"])
def test_an_id_that_is_not_well_formed_is_replaced(client, live, given):
    chosen = client.get("/healthz", headers={"X-Request-ID": given}).headers["X-Request-ID"]
    assert len(chosen) == 16
    assert set(chosen) <= set("0123456789abcdef")


def test_each_request_without_an_id_gets_another_one(client, live):
    assert len({client.get("/healthz").headers["X-Request-ID"] for _ in range(20)}) == 20


@pytest.mark.parametrize(
    ("path", "status"),
    [("/nothing", 404), ("//metrics", 404), ("/metrics?x=1", 400), ("/api/predictions", 200)],
)
def test_an_error_names_the_id_in_its_body(client, live, path, status):
    answer = client.get(path, headers={"X-Request-ID": "mine"})
    assert (answer.status_code, answer.headers["X-Request-ID"]) == (status, "mine")
    assert answer.json.get("request_id") == ("mine" if status >= 400 else None)


def test_a_failure_is_logged_with_the_id_of_its_request(app, live, caplog):
    seen = []

    class Remembering(dict):
        def __missing__(self, key):
            seen.append(request_id.get())
            raise KeyError(key)

    app.add_url_rule("/bug", view_func=lambda: Remembering()["a"])
    answer = app.test_client().get("/bug", headers={"X-Request-ID": "mine"})
    assert (answer.status_code, answer.json["request_id"], seen) == (500, "mine", ["mine"])
    assert request_id.get() == ""


def test_a_stream_has_an_id(client, live):
    answer = client.get("/predictions/stream", headers={"X-Request-ID": "mine"})
    assert answer.headers["X-Request-ID"] == "mine"
    answer.close()
