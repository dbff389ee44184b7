"""The ways into a secured Apache Kafka, what is said when one is closed, and that no secret is ever shown."""

import contextlib
import gc
import json
import logging
import os
import ssl

import pytest
from kafka.admin import ScramMechanism, UserScramCredentialUpsertion

from app import create_app
from consumer.errors import NotReady
from consumer.settings import Settings, load
from consumer.sources import open_kafka
from consumer.sources.security import explain, ssl_context
from tests.consumer.helpers import message
from tests.kafka.helpers import BOTH_CLIENTS, WAIT_SECONDS, eventually, until_status
from tests.kafka.secured import LISTENERS, MECHANISMS, PASSWORD, USER, Certificates, secured_kafka

WRONG = "wr0ng horse battery"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def secured(certificates):
    with secured_kafka(certificates) as kafka:
        yield kafka


@pytest.fixture(scope="module")
def topic(secured):
    return secured.create_topic(partitions=1)


@pytest.fixture
def at(secured, certificates, topic, kafka_client):
    """Make settings for a listener."""

    def at(listener, **more):
        return Settings(
            **{
                "kafka_brokers": f"127.0.0.1:{secured.ports[listener]}",
                "kafka_topic": topic,
                "kafka_client": kafka_client,
                "kafka_backlog": "all",
                "kafka_fetch_max_wait_ms": 50,
                "kafka_security_protocol": LISTENERS.get(listener, "PLAINTEXT"),
                "kafka_ssl_cafile": certificates.path("ca"),
                **more,
            }
        )

    return at


def login(mechanism="PLAIN", user=USER, password=PASSWORD):
    """Return the settings to log in with."""
    return {"kafka_sasl_mechanism": mechanism, "kafka_sasl_username": user, "kafka_sasl_password": password}


def certificate(certificates, name):
    """Return the settings of a client certificate."""
    return {"kafka_ssl_certfile": certificates.path(name), "kafka_ssl_keyfile": certificates.key(name)}


def assert_it_reads(consumer, publish, settings):
    """Let a record pass from a producer with the same settings to the feed."""
    consumer.wait_ready(WAIT_SECONDS)
    name = f"segment-{consumer.settings.kafka_brokers}-{consumer.settings.kafka_sasl_mechanism}"
    publish(settings, message(name))
    eventually(lambda: name in {each.segment_id for each in consumer.feed.snapshot().predictions})


def test_it_reads_over_tls(at, consume, publish):
    settings = at("TLS")
    assert_it_reads(consume(settings), publish, settings)


@BOTH_CLIENTS
def test_it_reads_over_tls_with_a_certificate_of_its_own(at, certificates, consume, publish):
    settings = at("MUTUAL", **certificate(certificates, "client"))
    assert_it_reads(consume(settings), publish, settings)


@BOTH_CLIENTS
@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("listener", ["LOGIN", "TLSLOGIN"])
def test_it_reads_after_a_log_in(at, consume, publish, listener, mechanism):
    settings = at(listener, **login(mechanism))
    assert_it_reads(consume(settings), publish, settings)


def heroku(secured, certificates, **more):
    """Return the variables as Heroku sets them; its brokers' certificates don't carry their host names."""
    return {
        "KAFKA_URL": f"kafka+ssl://127.0.0.1:{secured.ports['STRANGER']}",
        "KAFKA_TRUSTED_CERT": certificates.text(certificates.path("ca")),
        "KAFKA_CLIENT_CERT": certificates.text(certificates.path("client")),
        "KAFKA_CLIENT_CERT_KEY": certificates.text(certificates.key("client")),
        "KAFKA_FETCH_MAX_WAIT_MS": "50",
        **more,
    }


def test_it_reads_with_the_variables_that_heroku_sets(secured, certificates, consume, publish):
    secured.create_topic("wharf-1234.traffic-predictions", partitions=1)
    settings = load(heroku(secured, certificates, KAFKA_PREFIX="wharf-1234."))
    assert settings.topic == "wharf-1234.traffic-predictions"
    assert_it_reads(consume(settings), publish, settings)


def test_heroku_variables_disable_the_host_name_check_by_default(secured, certificates):
    assert not ssl_context(load(heroku(secured, certificates))).check_hostname
    assert ssl_context(load(heroku(secured, certificates, KAFKA_SSL_CHECK_HOSTNAME="true"))).check_hostname


def test_certificates_as_text_leave_no_file_behind(secured, certificates, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert ssl_context(load(heroku(secured, certificates))).verify_mode == ssl.CERT_REQUIRED
    assert list(tmp_path.iterdir()) == []


CLOSED_WAYS = {
    "a wrong password, PLAIN": ("LOGIN", login("PLAIN", password=WRONG), "it refused the log-in"),
    "a wrong password, SHA-256": ("LOGIN", login("SCRAM-SHA-256", password=WRONG), "it refused the log-in"),
    "a wrong password, SHA-512": ("LOGIN", login("SCRAM-SHA-512", password=WRONG), "it refused the log-in"),
    "a wrong password over TLS": ("TLSLOGIN", login("SCRAM-SHA-512", password=WRONG), "it refused the log-in"),
    "an unknown user": ("TLSLOGIN", login("SCRAM-SHA-256", user="unknown"), "it refused the log-in"),
    "a CA that is not trusted": ("TLS", {"kafka_ssl_cafile": "other-ca"}, "its certificate is not trusted"),
    "the system's CAs": ("TLS", {"kafka_ssl_cafile": ""}, "its certificate is not trusted"),
    "another host name": ("STRANGER", {"client": "client"}, "its certificate is for another host name"),
    "no client certificate": ("MUTUAL", {}, "it refused the client certificate"),
    "a client certificate of another CA": ("MUTUAL", {"client": "other-client"}, "it refused the client certificate"),
    "no TLS where it is wanted": ("TLS", {"kafka_security_protocol": "PLAINTEXT"}, "see KAFKA_SECURITY_PROTOCOL"),
    "TLS where none is": ("PLAIN", {"kafka_security_protocol": "SSL"}, "see KAFKA_SECURITY_PROTOCOL"),
    "no log-in where one is wanted": (
        "LOGIN",
        {"kafka_security_protocol": "PLAINTEXT"},
        "see KAFKA_SECURITY_PROTOCOL",
    ),
    "a log-in where none is": (
        "PLAIN",
        {"kafka_security_protocol": "SASL_PLAINTEXT", **login()},
        "see KAFKA_SECURITY_PROTOCOL",
    ),
    "a port where nothing listens": ("PLAIN", {"kafka_brokers": "127.0.0.1:1"}, "nothing listens there"),
}


@pytest.mark.parametrize(("listener", "more", "reason"), CLOSED_WAYS.values(), ids=CLOSED_WAYS)
def test_failed_connection_is_never_live_and_its_reason_is_named(
    at, certificates, consume, listener, more, reason, caplog
):
    more = dict(more)
    if name := more.pop("client", None):
        more |= certificate(certificates, name)
    if more.get("kafka_ssl_cafile") == "other-ca":
        more["kafka_ssl_cafile"] = certificates.path("other-ca")
    consumer = consume(at(listener, circuit_failures=2, **more))
    status = until_status(consumer, lambda status: status.state == "circuit_open" and reason in status.detail)
    assert status.reason.startswith("no answer to 2 or more attempts")
    assert status.reason.endswith("; the server's log says what is wrong")
    assert not consumer.ready
    with pytest.raises(NotReady) as raised:
        consumer.wait_ready(0)
    assert reason in str(raised.value)
    lines = [record for record in caplog.records if record.name == "greenwave.consumer"]
    assert len(lines) <= 4, "one line per new reason, for any number of attempts"


OTHER_WORDS = {"another host name": "its certificate is not trusted, or for another host name"}
"""What librdkafka can't distinguish."""


@pytest.mark.parametrize("kafka_client", ["confluent"])
@pytest.mark.parametrize("way", CLOSED_WAYS)
def test_confluent_names_the_reason_of_a_failed_connection(at, certificates, way):
    listener, more, reason = CLOSED_WAYS[way]
    more = dict(more)
    if name := more.pop("client", None):
        more |= certificate(certificates, name)
    if more.get("kafka_ssl_cafile") == "other-ca":
        more["kafka_ssl_cafile"] = certificates.path("other-ca")
    with contextlib.closing(open_kafka(at(listener, **more))) as source:
        words = OTHER_WORDS.get(way, reason)
        eventually(lambda: words in (source.status().connection_errors or ""))
        assert source.status().last_response is None


def test_the_reason_is_shown_while_connecting(at, consume):
    consumer = consume(at("LOGIN", circuit_failures=1000, **login(password=WRONG)))
    status = until_status(consumer, lambda status: "it refused the log-in" in status.detail)
    assert status.reason == "connecting to Kafka; the server's log says what is wrong"
    assert status.detail.startswith(f"{consumer.settings.kafka_brokers}; ")


@BOTH_CLIENTS
def test_user_added_later_is_live_without_a_restart(secured, at, consume, kafka_client):
    user = f"late-{kafka_client}"
    consumer = consume(at("LOGIN", **login("SCRAM-SHA-256", user=user, password="a late password")))
    until_status(consumer, lambda status: "it refused the log-in" in status.detail)
    with secured.admin() as admin:
        mechanism = ScramMechanism.SCRAM_SHA_256
        admin.alter_user_scram_credentials([UserScramCredentialUpsertion(user, mechanism, "a late password")])
    consumer.wait_ready(WAIT_SECONDS)


def test_handshakes_that_fail_collect_no_sockets(at, certificates, consume):
    consumer = consume(at("TLS", kafka_ssl_cafile=certificates.path("other-ca")))
    gc.disable()
    try:
        until_status(consumer, lambda status: "not trusted" in status.detail)
        before = len(os.listdir("/dev/fd"))
        eventually(lambda: consumer.attempts.report()["failed"] >= 3)
        assert len(os.listdir("/dev/fd")) <= before + 1, "one handshake may be under way"
    finally:
        gc.enable()


@pytest.fixture
def everything_logged(caplog):
    """Log all there is, the Kafka client's debugging included."""
    client = logging.getLogger("kafka")
    before = client.level
    client.setLevel(logging.DEBUG)
    with caplog.at_level(logging.DEBUG):
        yield caplog
    client.setLevel(before)
    caplog.clear()  # a captured record keeps an error, its frames and their sockets


@BOTH_CLIENTS
@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("password", [PASSWORD, WRONG], ids=["right", "wrong"])
def test_the_password_is_in_no_log_line_answer_or_error(
    at, consume, everything_logged, kafka_client, mechanism, password
):
    settings = at("LOGIN", **login(mechanism, password=password))
    consumer = consume(settings)
    until_status(consumer, lambda status: status.state == "live" or "it refused" in status.detail)
    assert (consumer.feed.status.state == "live") == (password == PASSWORD)
    client = create_app(settings, lambda: consumer).test_client()
    shown = [everything_logged.text, repr(consumer), repr(consumer._supervisor.source), consumer.feed.status.reason]
    shown += [
        client.get(path).text for path in ("/api/health", "/api/config", "/readyz", "/metrics", "/api/quarantine")
    ]
    assert kafka_client == "confluent" or "kafka" in everything_logged.text, "that client logs what it sends"
    assert not [each for each in shown if password in each]


def test_a_private_key_is_in_no_log_line_answer_or_error(secured, certificates, consume, everything_logged):
    environ = heroku(secured, certificates, KAFKA_TOPIC="missing")
    key = environ["KAFKA_CLIENT_CERT_KEY"].splitlines()[1]
    consumer = consume(load(environ))
    until_status(consumer, lambda status: "does not exist" in status.reason)
    client = create_app(consumer.settings, lambda: consumer).test_client()
    shown = [everything_logged.text, repr(consumer), consumer.feed.status.reason]
    shown += [client.get(path).text for path in ("/api/health", "/api/config", "/readyz", "/metrics")]
    assert not [each for each in shown if key in each]


def test_a_reason_is_one_line_of_bounded_length():
    text = explain(RuntimeError("a\nb" + "x" * 1000))
    assert text.startswith("a\\nb")
    assert len(text) <= 200
    assert json.dumps(text).isascii()
