"""POST /api/predictions: what is written, what is refused, and what a repetition does."""

import json
import threading

import pytest
from msgspec import structs

from app import create_app
from consumer.sources.producing import WriteError, Written
from tests.consumer.helpers import array, eventually, message
from tests.web.access.tokens_file import bearer, tokens_file
from tests.web.conftest import SETTINGS, SHORT_SILENCE, waits
from tests.web.documents.conformity import check_response
from web.publish.bodies import MAX_MESSAGES
from web.publish.repeats import Conflict, Repeats

ON = structs.replace(SETTINGS, publish=True, publish_max_bytes=65_536)
SEVERAL = structs.replace(ON, kafka_topic="memory,other")
PATH = "/api/predictions"


class FakeProducer:
    """Writes to a topic in memory; fails after `room` records if that is set."""

    def __init__(self, topic):
        self.topic = topic
        self.writes = []
        self.values = []
        self.room = None
        self.is_too_large = False

    def write(self, topic, records, timeout):
        self.writes.append((topic, [key for key, _ in records], timeout))
        self.values += [value for _, value in records]
        written = []
        for key, value in records[: self.room]:
            record = self.topic.append(value, partition=0, key=key)
            written.append(Written(record.partition, record.offset))
        if self.room is not None:
            written += [None] * (len(records) - len(written))
            raise WriteError("Kafka did not acknowledge the records in time", written, self.is_too_large)
        return written

    def close(self):
        pass


@pytest.fixture
def settings():
    return ON


@pytest.fixture
def producer(app, topic, live):
    producer = app.extensions["greenwave"]._producer = FakeProducer(topic)
    return producer


@pytest.fixture
def post(client, producer, settings):
    """Publish a body, and compare the answer with the document."""

    def post(body, content_type="application/json", query="", settings=settings, **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        response = client.post(PATH + query, data=body, content_type=content_type, headers=named)
        check_response(response, "POST", PATH, settings, response.get_data())
        return response

    return post


def test_an_object_is_written_with_its_segment_as_key_and_reaches_clients(post, client, producer):
    answer = post(message("LA_001"))
    assert answer.status_code == 201
    topic = SETTINGS.topic
    assert answer.json["data"]["written"] == [{"index": 0, "topic": topic, "partition": 0, "offset": 0}]
    assert producer.writes == [(topic, [b"LA_001"], ON.publish_timeout)]
    eventually(lambda: client.get(PATH).json["data"]["predictions"])


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (array(message("A"), message("B")), "application/json"),
        (b" \n" + array(message("A"), message("B")), "application/json; charset=utf-8"),
        (message("A") + b"\r\n\n" + message("B"), "application/x-ndjson"),
    ],
)
def test_a_list_and_lines_are_written_in_order(post, topic, body, kind):
    answer = post(body, kind)
    assert [(each["index"], each["offset"]) for each in answer.json["data"]["written"]] == [(0, 0), (1, 1)]


def test_bytes_of_each_message_are_written_as_given(post, producer):
    post(b'[ {"segment_id":"A",  "predicted_speed": 44.10, "x": 1e400} ]')
    assert producer.values == [b'{"segment_id":"A",  "predicted_speed": 44.10, "x": 1e400}']


def test_a_list_with_one_bad_message_writes_nothing(post, producer):
    answer = post(array(message("A"), b'{"segment_id": "B", "predicted_speed": -4}', b"[1]", b"null"))
    assert answer.status_code == 422
    assert producer.writes == []
    assert [(each["index"], each["reason"]) for each in answer.json["refused"]] == [
        (1, "absurd_speed"),
        (2, "not_an_object"),
        (3, "not_an_object"),
    ]
    assert "allowed" in answer.json["refused"][0]["detail"]


def test_few_of_many_refusals_are_shown(post):
    answer = post(b"\n".join([b"{}"] * 500), "application/x-ndjson")
    assert answer.status_code == 422
    assert len(answer.json["refused"]) == 20
    assert answer.json["error"].startswith("500 messages were refused")


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"", "application/json", 422),
        (b"[]", "application/json", 400),
        (b"\n\n", "application/x-ndjson", 400),
        (b'[{"a": 1}', "application/json", 400),
        (b"nonsense", "application/json", 422),
        (b"\xff\xfe", "application/json", 422),
        (b"[" * 50_000, "application/json", 400),
        (b"{" * 50_000, "application/json", 422),
        (b"{}", "text/plain", 415),
        (b"a=b", "application/x-www-form-urlencoded", 415),
        (b"x" * 70_000, "application/json", 413),
        (b"\n".join([b"{}"] * (MAX_MESSAGES + 1)), "application/x-ndjson", 413),
    ],
    ids=lambda value: str(value)[:20],
)
def test_bad_bodies_are_refused(post, producer, body, kind, status):
    answer = post(body, kind)
    assert (answer.status_code, answer.json["success"]) == (status, False)
    assert producer.writes == []


def test_a_packed_body_is_refused(post):
    assert post(message("A"), Content_Encoding="gzip").status_code == 415


@pytest.mark.parametrize("key", ["a b", "x" * 201, "schlüssel"])
def test_a_bad_idempotency_key_is_refused(post, key):
    assert post(message("A"), Idempotency_Key=key).status_code == 400


def test_a_repeated_request_writes_nothing_again(post, producer):
    first, second = (post(message("A"), Idempotency_Key="k1") for _ in range(2))
    assert first.json["data"]["written"] == second.json["data"]["written"]
    assert [len(keys) for _, keys, _ in producer.writes] == [1, 0]
    assert post(message("A"), Idempotency_Key="k2").json["data"]["written"][0]["offset"] == 1


def test_a_key_with_another_body_is_a_conflict(post):
    assert post(message("A"), Idempotency_Key="k1").status_code == 201
    assert post(message("B"), Idempotency_Key="k1").status_code == 409


def test_a_failure_says_what_was_written_and_a_retry_writes_the_rest(post, producer):
    producer.room = 1
    body = array(message("A"), message("B"), message("C"))
    answer = post(body, Idempotency_Key="k1")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert [each["index"] for each in answer.json["written"]] == [0]
    producer.room = None
    answer = post(body, Idempotency_Key="k1")
    assert [(each["index"], each["offset"]) for each in answer.json["data"]["written"]] == [(0, 0), (1, 1), (2, 2)]


def test_a_record_that_is_too_large_for_kafka_is_413_without_a_retry(post, producer):
    producer.room, producer.is_too_large = 1, True
    answer = post(array(message("A"), message("B")))
    assert (answer.status_code, answer.headers.get("Retry-After")) == (413, None)
    assert [each["index"] for each in answer.json["written"]] == [0]


def test_a_key_with_the_same_body_of_another_type_is_a_conflict(post):
    body = array(message("A"), message("B"))
    assert post(body, Idempotency_Key="k").status_code == 201
    assert post(body, "application/x-ndjson", Idempotency_Key="k").status_code == 409


@pytest.mark.parametrize("settings", [structs.replace(ON, kafka_topic="^.*")])
@pytest.mark.parametrize("name", ["__consumer_offsets", "a/b", "x" * 300])
def test_only_topics_that_are_read_are_written_to(post, producer, name):
    answer = post(message("A"), query=f"?topic={name}")
    assert answer.status_code == 400
    assert "is not read at the moment" in answer.json["error"]
    assert producer.writes == []
    assert post(message("A"), query=f"?topic={SETTINGS.topic}").status_code == 201


@pytest.mark.parametrize("settings", [SETTINGS])
def test_publishing_is_off_by_default(post, producer):
    answer = post(message("A"))
    assert answer.status_code == 403
    assert "PUBLISH=1" in answer.json["error"]
    assert producer.writes == []


@pytest.mark.parametrize("settings", [SEVERAL])
def test_one_of_several_topics_must_be_named(post, producer):
    assert "allowed: topics memory, other" in post(message("A")).json["error"]
    assert "topic='x' can't be used" in post(message("A"), query="?topic=x").json["error"]
    assert post(message("A"), query="?topic=other").json["data"]["written"][0]["topic"] == "other"
    assert producer.writes[0][0] == "other"


@waits(structs.replace(SHORT_SILENCE, publish=True))
def test_nothing_is_sent_during_an_outage(post, producer, topic, live):
    topic.set(reachable=False)
    live.feed.wait_for_status(lambda status: status.state == "reconnecting", 60)
    answer = post(message("A"))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert producer.writes == []


def test_an_unknown_parameter_is_refused(post):
    assert post(message("A"), query="?a=1").status_code == 400


def test_a_key_in_use_is_a_conflict():
    repeats = Repeats()
    attempt = repeats.begin(("client", "k"), b"1", 1)
    with pytest.raises(Conflict, match="being handled"):
        repeats.begin(("client", "k"), b"1", 1)
    assert repeats.begin(("other", "k"), b"1", 1) is not attempt
    repeats.end(attempt)
    assert repeats.begin(("client", "k"), b"1", 1) is attempt


def test_memory_of_repeated_requests_is_bounded():
    repeats = Repeats(max_requests=10, max_places=100)
    for number in range(1_000):
        repeats.end(repeats.begin(("", str(number)), b"", 1))
    assert len(repeats) == 10
    for number in range(1_000):
        repeats.end(repeats.begin(("", f"b{number}"), b"", 40))
    assert len(repeats) == 2
    held = [repeats.begin(("", f"c{number}"), b"", 40) for number in range(3)]
    assert len(repeats) == 3, "those that are being handled stay"
    assert all(each.is_running for each in held)


def test_concurrent_requests_with_one_key_write_once(app, producer, live):
    answers = []
    barrier = threading.Barrier(8)

    def post():
        client = app.test_client()
        barrier.wait()
        body, headers = array(message("A"), message("B")), {"Idempotency-Key": "k"}
        answers.append(client.post(PATH, data=body, content_type="application/json", headers=headers).status_code)

    threads = [threading.Thread(target=post) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(answers) <= {201, 409, 429}
    assert sum(len(keys) for _, keys, _ in producer.writes) == 2


def test_a_message_in_an_envelope_is_checked_like_one_from_kafka(post):
    connect = {"schema": {"type": "struct"}, "payload": {"segment_id": "A", "predicted_speed": 40}}
    assert post(json.dumps(connect)).status_code == 201


def test_publishing_needs_the_role_of_a_publisher_and_its_topics(tmp_path, consumer, topic, live):
    rights = {"reader": {}, "writer": {"roles": ["publisher"]}, "narrow": {"roles": ["publisher"], "topics": ["other"]}}
    tokens = tokens_file(tmp_path / "t.toml", **rights)
    app = create_app(structs.replace(ON, auth="token", auth_tokens_file=str(tokens.path)), lambda: consumer)
    app.extensions["greenwave"]._producer = FakeProducer(topic)
    client = app.test_client()

    def status(headers):
        return client.post(PATH, data=message("A"), content_type="application/json", headers=headers).status_code

    assert status({}) == 401
    assert status(bearer(tokens["reader"])) == status(bearer(tokens["narrow"])) == 403
    assert status(bearer(tokens["writer"])) == 201
    app.extensions["greenwave"].admission.close()


def test_topics_that_a_token_may_not_see_are_not_named(tmp_path, consumer, topic, live):
    tokens = tokens_file(tmp_path / "t.toml", narrow={"roles": ["publisher"], "topics": ["other"]})
    app = create_app(structs.replace(SEVERAL, auth="token", auth_tokens_file=str(tokens.path)), lambda: consumer)
    app.extensions["greenwave"]._producer = FakeProducer(topic)

    def post(query):
        options = {"data": message("A"), "content_type": "application/json", "headers": bearer(tokens["narrow"])}
        return app.test_client().post(PATH + query, **options)

    assert [post(f"?topic={name}").status_code for name in ("memory", "unknown", "other")] == [403, 403, 201]
    answer = post("")
    assert answer.status_code == 400
    assert answer.json["error"] == "topic is missing; allowed: other"
    app.extensions["greenwave"].admission.close()


@pytest.fixture
def post_as(tmp_path, consumer, topic, live):
    """Publish a body with a token, by its rights beside the role of a publisher; return the answer."""
    apps = []

    def post_as(body, query="", settings=ON, **rights):
        tokens = tokens_file(tmp_path / "t.toml", writer={"roles": ["publisher"], **rights})
        app = create_app(structs.replace(settings, auth="token", auth_tokens_file=str(tokens.path)), lambda: consumer)
        apps.append(app)
        app.extensions["greenwave"]._producer = FakeProducer(topic)
        headers = bearer(tokens["writer"])
        return app.test_client().post(PATH + query, data=body, content_type="application/json", headers=headers)

    yield post_as
    for app in apps:
        app.extensions["greenwave"].admission.close()


@pytest.mark.parametrize(
    ("rights", "status"),
    [
        ({"segments": ["A", "B"]}, 201),
        ({"segments": ["A"]}, 403),
        ({"segments": []}, 403),
        ({"roads": ["I-5"]}, 201),
        ({"roads": ["US-101"]}, 403),
        ({"bbox": [-120, 30, -110, 40]}, 201),
        ({"bbox": [0, 0, 10, 10]}, 403),
        ({"bbox": [-120, 30, -110, 40], "roads": ["US-101"]}, 403),
    ],
)
def test_a_publisher_writes_within_its_limits_only(post_as, topic, rights, status):
    place = {"road_name": "I-5 N", "coordinates": {"latitude": 34.0, "longitude": -118.0}}
    answer = post_as(array(message("A", **place), message("B", **place)), **rights)
    assert answer.status_code == status
    assert len(topic.logs[0]) == (2 if status == 201 else 0)
    if status == 403:
        assert "this token may not publish message " in answer.json["error"]


def test_a_message_without_a_road_is_not_within_a_road(post_as):
    assert post_as(message("A"), roads=["I-5"]).status_code == 403
