"""Commands on topics whose records refer to a schema registry."""

import json

import pytest

from cli.doctor import examine
from cli.survey import Survey, key_form
from consumer.messages.normalise import Normaliser
from consumer.schemas.registry import Registry
from consumer.settings import Settings
from consumer.sources.memory import MemorySource, MemoryTopic
from tests.cli.helpers import invoke, silent_server
from tests.consumer.mapping.helpers import record
from tests.consumer.schemas.helpers import PREDICTION, fake_registry, framed
from tests.consumer.schemas.test_avro import encoded

VALUE = framed(
    7,
    encoded(
        PREDICTION,
        {"segment_id": "S1", "timestamp": 1737468300000, "predicted_speed": 44.1, "current_speed": None},
    ),
)


@pytest.fixture
def fake():
    with fake_registry() as running:
        running.has(7, PREDICTION)
        yield running


def findings(fake, **settings):
    topic = MemoryTopic(partitions=1)
    topic.append(VALUE)
    with silent_server() as address:
        found = examine(fake.settings(kafka_brokers=address, **settings), lambda _: MemorySource(topic))
        return {each.subject: each for each in found}


def test_doctor_reads_messages_by_their_schema(fake):
    found = findings(fake)
    assert found["schema registry"].detail == "it answers; schemas: 1"
    assert found["messages"].ok
    assert found["settings"].ok is None


def test_doctor_says_why_the_registry_is_away(fake):
    fake.fault = lambda handler: handler.answer(401, b"")
    found = findings(fake, schema_registry_username="ada", schema_registry_password="secret-word")
    assert found["schema registry"].ok is False
    assert "status 401; check SCHEMA_REGISTRY_USERNAME" in found["schema registry"].detail
    assert "schema_unavailable 1" in found["messages"].detail
    assert "secret-word" not in str(found)


def test_check_mapping_decodes_a_sample(fake, tmp_path):
    mapping, sample = tmp_path / "mapping.toml", tmp_path / "sample.bin"
    mapping.write_text('[[shape]]\n[shape.fields]\nsegment_id = "segment_id"\npredicted_speed = "predicted_speed"\n')
    sample.write_bytes(VALUE)
    done = invoke(fake.settings(), "check-mapping", str(mapping), str(sample))
    assert done.exit_code == 0, done.output
    prediction = json.loads(done.output.splitlines()[-1].partition("prediction ")[2])
    assert prediction["segment_id"] == "S1"


def test_a_survey_shows_the_paths_of_decoded_messages(fake):
    registry = Registry(fake.settings())
    try:
        assert Normaliser(fake.settings(), registry=registry).wait(record(VALUE), 30)
        survey = Survey(Settings(), registry)
        survey.add(record(VALUE, VALUE))
    finally:
        registry.close()
    lines = [" ".join(line.split()) for line in survey.lines()]
    assert lines[:2] == ["values: schema registry, schema id 7 1", "keys: schema 7 1"]
    assert "predicted_speed number 1: 44.1" in lines


@pytest.mark.parametrize(("key", "form"), [(VALUE, "schema 7"), ((2**40).to_bytes(8, "big"), "long")])
def test_form_of_a_key(key, form):
    assert key_form(key) == form
