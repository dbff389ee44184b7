"""Schemas by their id: fetched once, waited for while the registry is away, refused by reason, bounded in number."""

import threading

import pytest

from consumer.parsing.refusal import Refused
from consumer.schemas import registry as module
from consumer.schemas.client import RegistryAway, SchemaMissing
from consumer.schemas.schema import SchemaText
from consumer.settings import Settings
from tests.consumer.helpers import eventually

JSON = SchemaText("JSON", "{}")
SOME = {"schema_registry_url": "http://127.0.0.1:1"}


class Source:
    """What a registry fetches: an answer by id; an error is raised. `gate` holds requests back."""

    def __init__(self, **answers):
        self.answers = {int(name[1:]): value for name, value in answers.items()}
        self.requests = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, schema_id):
        self.requests.append(schema_id)
        assert self.gate.wait(30)
        answer = self.answers.get(schema_id, SchemaMissing("no"))
        if isinstance(answer, Exception):
            raise answer
        return answer


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Retry soon."""
    monkeypatch.setattr(module, "FIRST_BACKOFF_SECONDS", 0.001)
    monkeypatch.setattr(module, "MAX_BACKOFF_SECONDS", 0.01)


def reason_of(registry, schema_id):
    with pytest.raises(Refused) as caught:
        registry.decode(schema_id, b"12345{}", 5)
    return caught.value.reason


def test_a_schema_is_fetched_once(open_registry):
    source = Source(_7=JSON)
    registry = open_registry(Settings(**SOME), fetch=source)
    assert registry.request(7)
    assert registry.wait_for(7, 30)
    assert not registry.request(7)
    assert registry.decode(7, b'12345{"a": 1}', 5) == {"a": 1}
    assert source.requests == [7]
    assert registry.report() == {
        "state": "ok",
        "away_seconds": None,
        "schemas": 1,
        "wanted": 0,
        "requests": {"ok": 1, "missing": 0, "unusable": 0, "failed": 0},
    }


def test_nothing_is_requested_before_a_record_needs_it(open_registry):
    source = Source()
    assert open_registry(Settings(**SOME), fetch=source).report()["state"] == "unused"
    assert source.requests == []


def test_decoding_never_waits(open_registry):
    source = Source(_7=JSON)
    source.gate.clear()
    registry = open_registry(Settings(**SOME), fetch=source)
    assert reason_of(registry, 7) == "schema_unavailable"
    assert registry.request(7)
    source.gate.set()
    assert registry.wait_for(7, 30)
    assert registry.decode(7, b"12345{}", 5) == {}


def test_unknown_and_unusable_schemas_are_refused(open_registry):
    source = Source(_8=ValueError("it is strange"))
    registry = open_registry(Settings(**SOME), fetch=source)
    for schema_id, reason, detail in [
        (7, "unknown_schema", "the schema registry has no schema 7"),
        (8, "unusable_schema", "the schema 8 can't be used: it is strange"),
    ]:
        assert registry.wait_for(schema_id, 30)
        with pytest.raises(Refused, match=detail) as caught:
            registry.decode(schema_id, b"", 0)
        assert caught.value.reason == reason
    assert source.requests == [7, 8]


def test_a_schema_that_a_library_fails_on_is_unusable(open_registry, monkeypatch):
    def fail(_schema):
        raise RecursionError("x" * 1_000_000)

    monkeypatch.setattr(module, "make_decoder", fail)
    registry = open_registry(Settings(**SOME), fetch=Source(_7=JSON))
    assert registry.wait_for(7, 30)
    with pytest.raises(Refused, match="can't be used: RecursionError") as caught:
        registry.decode(7, b"", 0)
    assert caught.value.reason == "unusable_schema"
    assert len(caught.value.detail) <= module.MAX_DETAIL_CHARACTERS
    assert registry.report()["state"] == "ok"


def test_an_unknown_schema_is_requested_again_later_without_waiting(open_registry):
    source, clock = Source(), Clock()
    registry = open_registry(Settings(**SOME), clock, source)
    assert registry.request(7)
    assert registry.wait_for(7, 30)
    source.answers[7] = JSON
    clock.now += module.ABSENT_SECONDS - 1
    assert not registry.request(7)
    assert source.requests == [7]
    clock.now += 2
    assert not registry.request(7)
    eventually(lambda: registry.report()["schemas"])
    assert registry.decode(7, b"12345{}", 5) == {}


def test_records_wait_while_the_registry_is_away_and_then_no_more(open_registry):
    source, clock = Source(_7=RegistryAway("status 500")), Clock()
    registry = open_registry(Settings(**SOME, schema_registry_wait=20), clock, source)
    assert registry.request(7)
    eventually(lambda: registry.report()["state"] == "away")
    clock.now += 19
    assert registry.request(7)
    assert registry.request(8), "another one, while the registry is known to be away"
    clock.now += 2
    assert not registry.request(7)
    assert registry.request(8)
    assert reason_of(registry, 7) == "schema_unavailable"
    source.answers[7] = JSON
    clock.now += 60
    assert not registry.request(7)
    eventually(lambda: registry.report()["schemas"])
    assert registry.decode(7, b"12345{}", 5) == {}
    assert registry.report()["state"] == "ok"


def test_without_a_wait_only_the_first_attempt_is_waited_for(open_registry):
    source = Source(_7=RegistryAway("status 500"))
    source.gate.clear()
    registry = open_registry(Settings(**SOME, schema_registry_wait=0), fetch=source)
    assert registry.request(7)
    source.gate.set()
    assert registry.wait_for(7, 30)
    assert reason_of(registry, 7) == "schema_unavailable"


def test_a_schema_that_always_fails_does_not_stop_others(open_registry):
    source = Source(_7=RegistryAway("status 500"), _8=JSON)
    registry = open_registry(Settings(**SOME), fetch=source)
    assert registry.request(7)
    assert registry.request(8)
    assert registry.wait_for(8, 30)
    assert registry.request(7)


def test_an_unexpected_error_is_logged_and_retried(open_registry, caplog):
    source = Source(_7=RuntimeError("surprise"))
    registry = open_registry(Settings(**SOME), fetch=source)
    assert registry.request(7)
    eventually(lambda: registry.report()["requests"]["failed"])
    assert "RuntimeError: surprise" in caplog.text
    source.answers[7] = JSON
    assert registry.wait_for(7, 30)


def test_an_outage_is_logged_at_a_limited_rate(open_registry, caplog):
    source = Source(_7=RegistryAway("the answer has the status 500"), _8=JSON)
    registry = open_registry(Settings(**SOME), fetch=source)
    assert registry.request(7)
    eventually(lambda: len(source.requests) > 5)
    source.answers[7] = JSON
    assert registry.wait_for(7, 30)
    lines = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert len(lines) == 1
    assert "schema 7 could not be fetched" in lines[0]
    assert "the answer has the status 500" in lines[0]


def test_ids_without_end_are_bounded(open_registry, monkeypatch):
    for name in ("MAX_KNOWN", "MAX_WANTED", "MAX_ABSENT"):
        monkeypatch.setattr(module, name, 5)
    source = Source(**{f"_{number}": JSON for number in range(1, 9)})
    source.gate.clear()
    registry = open_registry(Settings(**SOME), fetch=source)
    waits = [registry.request(number) for number in range(1, 100)]
    assert waits == [True] * 5 + [False] * 94
    source.gate.set()
    for number in range(1, 100):
        assert registry.request(number) in (True, False)
        assert registry.wait_for(number, 30)
    report = registry.report()
    assert report["schemas"] == 5
    assert report["requests"]["missing"] == 91
    assert reason_of(registry, 99) == "unknown_schema"
    assert reason_of(registry, 3) == "schema_unavailable", "evicted, so it is requested again"


def test_large_schemas_are_bounded_by_their_characters(open_registry, monkeypatch):
    monkeypatch.setattr(module, "MAX_KNOWN_CHARACTERS", 100)
    large = SchemaText("JSON", "x" * 60)
    registry = open_registry(Settings(**SOME), fetch=Source(_1=large, _2=large, _3=large))
    for number in (1, 2, 3):
        assert registry.request(number)
        assert registry.wait_for(number, 30)
    assert registry.report()["schemas"] == 1
    assert registry.decode(3, b"12345{}", 5) == {}


def test_schemas_that_no_record_asks_for_any_more_are_forgotten(open_registry):
    source, clock = Source(_7=RegistryAway("away")), Clock()
    registry = open_registry(Settings(**SOME), clock, source)
    assert registry.request(7)
    eventually(lambda: source.requests)
    clock.now += module.IDLE_SECONDS + 1
    eventually(lambda: not registry.report()["wanted"])


def test_a_first_attempt_is_not_waited_for_without_end(open_registry):
    source, clock = Source(_7=JSON), Clock()
    source.gate.clear()
    registry = open_registry(Settings(**SOME), clock, source)
    assert registry.request(7)
    clock.now += module.QUEUE_SECONDS - 1
    assert registry.request(7)
    clock.now += 2
    assert not registry.request(7)
    assert reason_of(registry, 7) == "schema_unavailable"
    source.gate.set()
    eventually(lambda: registry.report()["schemas"])


def test_a_wait_ends_at_its_limit_and_at_close(open_registry):
    source = Source(_7=JSON)
    source.gate.clear()
    registry = open_registry(Settings(**SOME), fetch=source)
    assert not registry.wait_for(7, 0.01)
    found = []
    waiter = threading.Thread(target=lambda: found.append(registry.wait_for(7, 30)))
    waiter.start()
    source.gate.set()
    registry.close()
    waiter.join(30)
    assert found == [True]


def test_a_payload_of_another_schema_is_refused(open_registry):
    registry = open_registry(Settings(**SOME), fetch=Source(_7=SchemaText("AVRO", '"string"')))
    assert registry.request(7)
    assert registry.wait_for(7, 30)
    with pytest.raises(Refused, match="the payload does not have the schema 7") as caught:
        registry.decode(7, b"12345\x04abc", 5)
    assert caught.value.reason == "not_decodable"


def test_a_schema_that_changes_under_its_id_is_kept(open_registry):
    source = Source(_7=SchemaText("AVRO", '"string"'))
    registry = open_registry(Settings(**SOME), fetch=source)
    assert registry.wait_for(7, 30)
    source.answers[7] = SchemaText("AVRO", '"double"')
    assert reason_of(registry, 7) == "not_decodable"
    assert registry.decode(7, b"12345\x06abc", 5) == "abc"
    assert source.requests == [7]


def test_a_flapping_registry_over_http(fake, open_registry):
    fake.has(7, "{}", "JSON")
    count = []

    def flap(handler):
        count.append(1)
        handler.answer(*(fake.answers[handler.path] if len(count) % 3 == 0 else (503, b"")))

    fake.fault = flap
    registry = open_registry(fake.settings())
    assert registry.request(7)
    assert registry.wait_for(7, 30)
    assert registry.report()["requests"] == {"ok": 1, "missing": 0, "unusable": 0, "failed": 2}
