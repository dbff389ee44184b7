import json
import re
import time

import pytest

from cli.doctor import examine
from cli.publish import PublishError, TopicDescription
from consumer.settings import Settings
from consumer.sources.base import SourceStatus
from consumer.sources.memory import MemorySource, MemoryTopic
from demo.broker import EmbeddedBroker
from tests.cli.helpers import closed_port, silent_server
from tests.stopping import stop_process

HOUR_MS = 3_600_000


@pytest.fixture
def topic():
    """Return a topic in memory with two partitions."""
    return MemoryTopic(partitions=2)


@pytest.fixture
def address():
    """Yield an address that accepts connections."""
    with silent_server() as listening:
        yield listening


def findings(topic, address, **settings):
    """Return the findings by subject."""
    found = examine(Settings(kafka_brokers=address, **settings), lambda _settings: MemorySource(topic))
    return {finding.subject: finding for finding in found}


def fill(topic, count, age_ms=0, partition=0):
    for number in range(count):
        value = json.dumps({"segment_id": "LA_001", "n": number}).encode()
        topic.append(value, partition=partition, timestamp_ms=round(time.time() * 1000) - age_ms)


def test_a_missing_topic_is_an_error_with_the_command_that_creates_it(topic, address):
    topic.set(exists=False)
    found = findings(topic, address)["topic traffic-predictions"]
    assert found.ok is False
    assert "does not exist" in found.detail
    assert "create-topic" in found.advice


def test_offsets_begin_at_the_log_start_offset(topic, address):
    fill(topic, 10)
    fill(topic, 3, partition=1)
    topic.set(begins=[4, 0])
    found = findings(topic, address)
    assert found["topic traffic-predictions"].detail == "2 partitions; offsets by partition: 0: 4 to 10, 1: 0 to 3"
    assert "the last 9 of 9 records" in found["backlog"].detail


def test_the_backlog_is_what_a_new_process_reads(topic, address):
    fill(topic, 50)
    assert "the last 20 of 50 records" in findings(topic, address, kafka_backlog="20")["backlog"].detail


def test_records_older_than_the_backlog_are_a_note(topic, address):
    fill(topic, 5, age_ms=5 * HOUR_MS)
    found = findings(topic, address, kafka_backlog="1000/1h")
    assert found["last record"].ok is None
    assert found["last record"].detail == "5 hours ago"
    assert "producer" in found["last record"].advice
    assert found["backlog"].ok is None
    assert "the last 0 of 5 records" in found["backlog"].detail
    assert "KAFKA_BACKLOG" in found["backlog"].advice


@pytest.mark.parametrize(
    ("age_ms", "said"), [(0, r"\d+ s ago"), (20 * 60_000, "20 minutes ago"), (72 * HOUR_MS, "3 days ago")]
)
def test_the_age_is_that_of_the_newest_record_of_all_partitions(topic, address, age_ms, said):
    fill(topic, 1, age_ms=100 * HOUR_MS, partition=1)
    fill(topic, 1, age_ms=age_ms)
    assert re.fullmatch(said, findings(topic, address)["last record"].detail)


def test_skipped_features_of_a_network_are_reported(topic, address, tmp_path):
    features = [{"type": "Feature", "geometry": None, "properties": {"fid": fid}} for fid in (1, 2, None)]
    file = tmp_path / "network.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    found = findings(topic, address, network_file=str(file), network_id_property="fid")["network"]
    assert found.ok is False
    assert found.detail.startswith(
        "2 segments; features skipped, since they can't be used: 1; the first is $.features[2]"
    )
    found = findings(topic, address, network_file=str(file))["settings"]
    assert "NETWORK_ID_PROPERTY can name another property" in found.detail


def test_predictions_without_a_clear_horizon_are_reported(topic, address):
    now_ms = round(time.time() * 1000)
    for horizon in (15, -5, 20_160):
        value = {"segment_id": "A", "timestamp": now_ms, "predicted_speed": 50, "horizon": horizon}
        topic.append(json.dumps(value).encode(), partition=1)
    found = findings(topic, address)
    assert found["horizons"].detail == "2 unclear; example: topic traffic-predictions, partition 1, offset 1"
    assert found["messages"].ok is True


def test_horizons_in_words_are_refused_with_an_example(topic, address):
    for horizon in (15, "soon"):
        value = {"segment_id": "A", "predicted_speed": 50, "horizon": horizon}
        topic.append(json.dumps(value).encode(), partition=1)
    found = findings(topic, address)["messages"]
    assert found.ok is None
    assert found.detail.startswith("1 of the last 2 can be read; refused: bad_horizon 1; they have the fields ")
    assert "partition 1, offset 1: horizon is 'soon'; allowed: minutes from 0 to 10080" in found.advice


def test_clear_horizons_are_not_mentioned(topic, address):
    fill(topic, 3)
    assert "horizons" not in findings(topic, address)


@pytest.mark.parametrize("kafka_ms", [0, 1_737_468_302, -1])
def test_unusable_kafka_times_are_an_error(topic, address, kafka_ms):
    topic.append(b"{}", partition=0, timestamp_ms=kafka_ms)
    found = findings(topic, address, kafka_backlog="1000/1h")
    assert found["Kafka time"].ok is False
    assert str(kafka_ms) in found["Kafka time"].detail
    assert "LogAppendTime" in found["Kafka time"].advice
    assert "the last 1 of 1 records" in found["backlog"].detail


def test_a_connection_lost_between_two_checks_is_an_error(topic, address):
    class Losing(MemorySource):
        def bounds(self):
            topic.set(reachable=False)
            return super().bounds()

    found = list(examine(Settings(kafka_brokers=address), lambda _settings: Losing(topic)))
    assert found[-1].ok is False
    assert found[-1].subject == "broker"
    assert topic.closed == topic.opened == 1


def test_settings_that_differ_from_the_defaults_are_shown(topic, address):
    assert (
        findings(topic, address, kafka_topic="mine")["settings"].detail == f"KAFKA_BROKERS={address}, KAFKA_TOPIC=mine"
    )


def test_a_password_in_a_url_is_not_shown(topic, address):
    url = "kafka+ssl://name:hush,hush@a:1,kafka+ssl://name:hush@b:2"
    assert findings(topic, address, kafka_url=url)["settings"].detail == f"KAFKA_BROKERS={address}, KAFKA_URL=***@b:2"


def test_every_changed_setting_is_shown_but_no_certificate(topic, address):
    changed = {
        "kafka_ssl_check_hostname": False,
        "web_threads": 8,
        "kafka_trusted_cert": "-----BEGIN",
        "max_age": 86_400,
    }
    said = findings(topic, address, **changed)["settings"].detail
    shown = "KAFKA_SSL_CHECK_HOSTNAME=False, KAFKA_TRUSTED_CERT=(set, not shown), WEB_THREADS=8"
    assert said == f"KAFKA_BROKERS={address}, {shown}"


def test_a_broker_without_an_answer_is_reported_with_connection_errors(topic, address):
    class Refused(MemorySource):
        def status(self):
            return SourceStatus(connection_errors=f"{address}: it refused the log-in")

    found = list(examine(Settings(kafka_brokers=address), lambda _settings: Refused(topic)))
    assert found[-1].detail == f"no answer to Kafka requests in 3.5 s; {address}: it refused the log-in"
    assert topic.closed == topic.opened == 1


def test_refused_messages_are_counted_by_reason_with_an_example(topic, address):
    for number in range(150):
        topic.append(b'{"id": %d, "kph": 50}' % number, partition=0)
    for _ in range(150):
        topic.append(b"no JSON", partition=1)
    found = findings(topic, address)["messages"]
    assert found.ok is False
    assert found.detail.startswith("0 of the last 200 can be read; refused: ")
    assert "no_segment 100" in found.detail
    assert "not_json 100" in found.detail
    assert found.detail.endswith("they have the fields id, kph")
    assert "\nexample: topic traffic-predictions, partition " in found.advice


def test_some_refused_messages_are_a_note(topic, address):
    topic.append(b'{"segment_id": "A", "predicted_speed": 50}', partition=0)
    topic.append(b'{"id": 1, "predicted_speed": 50}', partition=1)
    found = findings(topic, address)["messages"]
    assert found.ok is None
    assert (
        found.detail == "1 of the last 2 can be read; refused: no_segment 1; they have the fields id, predicted_speed"
    )


def test_messages_that_can_all_be_read_are_ok(topic, address):
    topic.append(b'{"segment_id": "A", "predicted_speed": 50}', partition=0)
    assert findings(topic, address)["messages"][:3] == (True, "messages", "1 of the last 1 can be read")


def test_a_topic_of_measured_speeds_can_be_read(topic, address):
    for number in range(3):
        topic.append(b'{"segment_id": "A", "speed": 50}', partition=number % 2)
    found = findings(topic, address)["messages"]
    said = "3 of the last 3 can be read (3 with observations: measured speeds without a prediction)"
    assert (found.ok, found.detail) == (True, said)


def test_an_advertised_name_that_can_not_be_resolved_is_an_error(topic, address):
    topic.set(brokers=["no.such.host.invalid:9092"])
    found = findings(topic, address)
    broker = found["broker no.such.host.invalid:9092"]
    assert broker.ok is False
    assert broker.detail.startswith("advertised by the cluster; the host name can't be resolved")
    assert "advertised.listeners" in broker.advice
    assert "backlog" not in found, "nothing can be read"


def test_advertised_brokers_that_accept_connections_are_not_mentioned(topic, address):
    topic.set(brokers=[address])
    found = findings(topic, address.replace("127.0.0.1", "localhost"))
    assert f"broker {address}" not in found
    assert "backlog" in found or "records" in found


def test_a_broker_that_never_answers_is_an_error_with_what_to_check(address):
    found = {finding.subject: finding for finding in examine(Settings(kafka_brokers=address))}
    assert found["Kafka"].detail.startswith("no answer to Kafka requests in 3.5 s")
    assert "KAFKA_SECURITY_PROTOCOL (now PLAINTEXT)" in found["Kafka"].advice


def test_a_stopped_broker_is_an_error_with_what_to_check():
    with EmbeddedBroker() as broker:
        stop_process(broker.pid)
        *_, last = examine(Settings(kafka_brokers=broker.address))
    assert last.ok is False
    assert "is not stuck" in last.advice


@pytest.mark.parametrize(
    ("described", "ok", "detail", "advice"),
    [
        (TopicDescription(1, "compact"), True, "1 partition, cleanup.policy=compact", ""),
        (TopicDescription(0, None), False, "it does not exist", "create-topic --acknowledgements"),
        (TopicDescription(3, "compact"), False, "3 partitions", "create-topic --acknowledgements"),
        (TopicDescription(1, "delete"), False, "cleanup.policy=delete", "set cleanup.policy=compact"),
        (TopicDescription(1, "compact,delete"), False, "cleanup.policy=compact,delete", "set cleanup.policy=compact"),
        (TopicDescription(1, None), None, "cleanup.policy unknown", "DescribeConfigs"),
    ],
)
def test_the_topic_of_acknowledgements_must_be_compacted(topic, address, described, ok, detail, advice):
    settings = Settings(kafka_brokers=address, kafka_prefix="x.", acknowledgements_topic="seen")
    asked = []
    found = examine(settings, lambda _: MemorySource(topic), lambda each, _: asked.append(each.topic) or described)
    (about,) = [each for each in found if each.subject == "topic x.seen"]
    assert asked == ["x.seen"]
    assert (about.ok, detail in about.detail, advice in (about.advice or "")) == (ok, True, True), about


def test_a_topic_of_acknowledgements_that_can_not_be_described_is_a_note(topic, address):
    def describe(settings, timeout):
        raise PublishError("no answer")

    settings = Settings(kafka_brokers=address, acknowledgements_topic="seen")
    found = {each.subject: each for each in examine(settings, lambda _: MemorySource(topic), describe)}
    assert (found["topic seen"].ok, found["topic seen"].detail) == (None, "not checked: no answer")


def test_no_finding_contains_a_secret():
    secret = "correct horse battery staple"
    url = f"kafka+ssl://user:{secret}@127.0.0.1:1"
    settings = Settings(kafka_url=url, kafka_sasl_password=secret, kafka_client_cert_key=secret)
    printed = "\n".join(finding.text() for finding in examine(settings))
    assert secret not in printed
    assert "KAFKA_SASL_PASSWORD=(set, not shown)" in printed
    assert "KAFKA_URL=***@127.0.0.1:1" in printed
    assert "start the broker, or correct KAFKA_URL" in printed


def test_a_missing_certificate_is_an_error_without_a_broker(tmp_path):
    missing = str(tmp_path / "missing.pem")
    with closed_port() as closed:
        settings = Settings(kafka_brokers=closed, kafka_security_protocol="SSL", kafka_ssl_cafile=missing)
        changed, certificate, broker = examine(settings)
    assert f"KAFKA_SECURITY_PROTOCOL=SSL, KAFKA_SSL_CAFILE={missing}" in changed.detail
    assert certificate.text().startswith(f"ERROR  settings: KAFKA_SSL_CAFILE={missing!r} can't be used: ")
    assert broker.ok is False


def test_a_missing_certificate_ends_the_checks(tmp_path, address):
    missing = str(tmp_path / "missing.pem")
    settings = Settings(kafka_brokers=address, kafka_security_protocol="SSL", kafka_ssl_cafile=missing)
    assert [finding.ok for finding in examine(settings)] == [None, False, True]
