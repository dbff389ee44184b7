import json
import time

import pytest

from cli.doctor import examine
from consumer.settings import Settings
from consumer.sources.base import SourceStatus
from consumer.sources.memory import MemorySource, MemoryTopic
from tests.cli.helpers import silent_server

HOUR_MS = 3_600_000


@pytest.fixture
def topic():
    """Give a topic in memory with two partitions."""
    return MemoryTopic(partitions=2)


@pytest.fixture
def address():
    """Give an address that takes connections."""
    with silent_server() as listening:
        yield listening


def findings(topic, address, **settings):
    """Return what is found, by what was looked at."""
    found = examine(Settings(kafka_brokers=address, **settings), lambda _settings: MemorySource(topic))
    return {finding.what: finding for finding in found}


def fill(topic, count, age_ms=0, partition=0):
    for number in range(count):
        value = json.dumps({"segment_id": "LA_001", "n": number}).encode()
        topic.append(value, partition=partition, timestamp_ms=round(time.time() * 1000) - age_ms)


def test_a_missing_topic_is_wrong_and_the_advice_is_how_to_create_it(topic, address):
    topic.set(exists=False)
    found = findings(topic, address)["topic traffic-predictions"]
    assert found.ok is False
    assert "not there" in found.said
    assert "create-topic" in found.advice


def test_offsets_begin_where_retention_left_them(topic, address):
    fill(topic, 10)
    fill(topic, 3, partition=1)
    topic.set(begins=[4, 0])
    found = findings(topic, address)
    assert found["topic traffic-predictions"].said == "2 partitions, offsets 0: 4 to 10, 1: 0 to 3"
    assert "the last 9 of 9 records" in found["backlog"].said


def test_the_backlog_is_what_a_start_would_read(topic, address):
    fill(topic, 50)
    assert "the last 20 of 50 records" in findings(topic, address, kafka_backlog="20")["backlog"].said


def test_records_that_are_older_than_the_backlog_reaches_are_remarked_upon(topic, address):
    fill(topic, 5, age_ms=5 * HOUR_MS)
    found = findings(topic, address, kafka_backlog="1000/1h")
    assert found["last record"].ok is None
    assert found["last record"].said == "5 hours ago"
    assert "producer" in found["last record"].advice
    assert found["backlog"].ok is None
    assert "the last 0 of 5 records" in found["backlog"].said
    assert "KAFKA_BACKLOG" in found["backlog"].advice


@pytest.mark.parametrize(
    ("age_ms", "said"), [(0, "0 s ago"), (20 * 60_000, "20 minutes ago"), (72 * HOUR_MS, "3 days ago")]
)
def test_the_age_of_the_newest_record_of_all_partitions_is_told(topic, address, age_ms, said):
    fill(topic, 1, age_ms=100 * HOUR_MS, partition=1)
    fill(topic, 1, age_ms=age_ms)
    assert findings(topic, address)["last record"].said == said


def test_features_of_a_network_that_cannot_be_used_are_reported(topic, address, tmp_path):
    features = [{"type": "Feature", "geometry": None, "properties": {"fid": fid}} for fid in (1, 2, None)]
    file = tmp_path / "network.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    found = findings(topic, address, network_file=str(file), network_id_property="fid")["network"]
    assert found.ok is False
    assert found.said.startswith(
        "2 segments; features skipped, since they can't be used: 1; the first is $.features[2]"
    )
    found = findings(topic, address, network_file=str(file))["settings"]
    assert "NETWORK_ID_PROPERTY can name another property" in found.said


def test_predictions_without_a_clear_horizon_are_reported(topic, address):
    now_ms = round(time.time() * 1000)
    for horizon in (15, 7.5, "soon"):
        value = {"segment_id": "A", "timestamp": now_ms, "predicted_speed": 50, "horizon": horizon}
        topic.append(json.dumps(value).encode(), partition=1)
    found = findings(topic, address)
    assert found["horizons"].said == "no clear one in 2 of the last predictions, such as partition 1, offset 1"
    assert found["messages"].ok is True


def test_clear_horizons_are_not_worth_a_word(topic, address):
    fill(topic, 3)
    assert "horizons" not in findings(topic, address)


@pytest.mark.parametrize("kafka_ms", [0, 1_737_468_302, -1])
def test_kafka_times_that_cannot_be_used_are_reported(topic, address, kafka_ms):
    topic.append(b"{}", partition=0, timestamp_ms=kafka_ms)
    found = findings(topic, address, kafka_backlog="1000/1h")
    assert found["Kafka time"].ok is False
    assert str(kafka_ms) in found["Kafka time"].said
    assert "LogAppendTime" in found["Kafka time"].advice
    assert "the last 1 of 1 records" in found["backlog"].said


def test_a_broker_that_is_lost_in_between_is_said_and_the_source_is_closed(topic, address):
    class Losing(MemorySource):
        def bounds(self):
            topic.set(reachable=False)
            return super().bounds()

    found = list(examine(Settings(kafka_brokers=address), lambda _settings: Losing(topic)))
    assert found[-1].ok is False
    assert found[-1].what == "broker"
    assert topic.closed == topic.opened == 1


def test_settings_that_differ_from_the_defaults_are_shown(topic, address):
    assert findings(topic, address, kafka_topic="mine")["settings"].said == f"KAFKA_BROKERS={address}, KAFKA_TOPIC=mine"


def test_a_login_in_a_url_is_not_shown(topic, address):
    url = "kafka+ssl://name:hush,hush@a:1,kafka+ssl://name:hush@b:2"
    assert findings(topic, address, kafka_url=url)["settings"].said == f"KAFKA_BROKERS={address}, KAFKA_URL=***@b:2"


def test_every_setting_that_was_changed_is_shown_and_texts_of_certificates_are_not(topic, address):
    changed = {
        "kafka_ssl_check_hostname": False,
        "web_threads": 8,
        "kafka_trusted_cert": "-----BEGIN",
        "max_age": 86_400,
    }
    said = findings(topic, address, **changed)["settings"].said
    shown = "KAFKA_SSL_CHECK_HOSTNAME=False, KAFKA_TRUSTED_CERT=(set, not shown), WEB_THREADS=8"
    assert said == f"KAFKA_BROKERS={address}, {shown}"


def test_a_broker_that_gives_no_answer_is_said_with_what_became_of_the_connections(topic, address):
    class Refused(MemorySource):
        def status(self):
            return SourceStatus(connection_errors=f"{address}: it refused the log-in")

    found = list(examine(Settings(kafka_brokers=address), lambda _settings: Refused(topic)))
    assert found[-1].said == f"no answer in the Kafka protocol in 3.5 s; {address}: it refused the log-in"
    assert topic.closed == topic.opened == 1


def test_messages_that_cannot_be_read_are_counted_by_reason_with_an_example(topic, address):
    for number in range(150):
        topic.append(b'{"id": %d, "kph": 50}' % number, partition=0)
    for _ in range(150):
        topic.append(b"no JSON", partition=1)
    found = findings(topic, address)["messages"]
    assert found.ok is False
    assert found.said.startswith("the last 200: none can be read: ")
    assert "no_segment 100" in found.said
    assert "not_json 100" in found.said
    assert found.said.endswith("they have the fields id, kph")
    assert "An example, partition " in found.advice


def test_some_messages_that_cannot_be_read_are_a_note(topic, address):
    topic.append(b'{"segment_id": "A", "predicted_speed": 50}', partition=0)
    topic.append(b'{"id": 1, "predicted_speed": 50}', partition=1)
    found = findings(topic, address)["messages"]
    assert found.ok is None
    assert found.said == "the last 2: 1 can't be read: no_segment 1; they have the fields id, predicted_speed"


def test_messages_that_can_all_be_read_are_well(topic, address):
    topic.append(b'{"segment_id": "A", "predicted_speed": 50}', partition=0)
    assert findings(topic, address)["messages"][:3] == (True, "messages", "the last one: all can be read")


def test_an_advertised_broker_whose_name_cannot_be_resolved_is_named(topic, address):
    topic.set(brokers=["no.such.host.invalid:9092"])
    found = findings(topic, address)
    broker = found["broker no.such.host.invalid:9092"]
    assert broker.ok is False
    assert broker.said.startswith("the cluster advertises it; its name can't be resolved")
    assert "advertised.listeners" in broker.advice
    assert "backlog" not in found, "nothing can be read"


def test_advertised_brokers_that_take_connections_are_not_mentioned(topic, address):
    topic.set(brokers=[address])
    found = findings(topic, address.replace("127.0.0.1", "localhost"))
    assert f"broker {address}" not in found
    assert "backlog" in found or "records" in found
