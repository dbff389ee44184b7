import functools
import os
import signal
import socket
import threading
import time

import click
import pytest

from app import COMMANDS, create_app
from cli import commands
from cli.landmarks import LANDMARKS
from cli.publish import Publisher, create_topic
from consumer.settings import Settings
from demo.broker import EmbeddedBroker
from tests.cli.helpers import eventually, invoke, published, silent_server


@pytest.fixture
def settings(broker, request):
    """Give settings for a topic of the test's own, with four partitions."""
    chosen = Settings(kafka_brokers=broker.address, kafka_topic=f"commands-{abs(hash(request.node.name))}")
    create_topic(chosen, 4)
    return chosen


def test_test_events_are_about_the_five_landmarks_and_each_one_s_place_is_shown(settings):
    result = invoke(settings, "send-test-events", "--count", "7", "--delay", "0")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert len(lines) == 7
    assert lines[0].startswith("1/7  LA_001  I-10 Downtown")
    assert lines[6].startswith("7/7  LA_002  I-405 West LA")
    records = published(settings, 7)
    assert {record.key.decode() for record in records} == {landmark.segment_id for landmark in LANDMARKS}
    shown = {tuple(line.rpartition("partition ")[2].split(", offset ")) for line in lines}
    assert shown == {(str(record.partition), str(record.offset)) for record in records}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_test_events_cleanly(settings, number):
    before = signal.getsignal(number)

    def interrupt():
        eventually(lambda: signal.getsignal(number) is not before)
        os.kill(os.getpid(), number)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    begin = time.monotonic()
    result = invoke(settings, "send-test-events", "--count", "3", "--delay", "30")
    assert time.monotonic() - begin < 10
    assert result.exit_code == 0
    assert result.output.splitlines()[-1] == "stopped after 1 of 3"
    assert signal.getsignal(number) is before
    interrupter.join()


def test_test_events_without_an_answer_of_kafka_end_with_one_line_and_exit_code_1(monkeypatch):
    monkeypatch.setattr(commands, "Publisher", functools.partial(Publisher, timeout=0.3))
    with silent_server() as address:
        result = invoke(Settings(kafka_brokers=address), "send-test-events", "--count", "1")
    assert result.exit_code == 1
    assert result.output.splitlines()[-1].startswith("Error: no answer for topic traffic-predictions at")
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        "send-test-events --delay inf",
        "send-test-events --delay nan",
        "send-test-events --delay 1e12",
        "send-test-events --delay -1",
        "send-test-events --count 1000000000000",
        "create-topic --partitions 1001",
    ],
)
def test_a_number_that_no_clock_can_wait_for_is_refused_before_anything_is_done(arguments):
    result = invoke(Settings(kafka_brokers="127.0.0.1:9"), *arguments.split())
    assert result.exit_code == 2
    assert f"Invalid value for '{arguments.split()[-2]}'" in result.output


def test_a_topic_can_be_created_and_is_left_alone_when_it_is_there(broker):
    settings = Settings(kafka_brokers=broker.address, kafka_topic="by-command")
    assert invoke(settings, "create-topic", "--partitions", "2").output == "topic by-command: created, 2 partitions\n"
    assert invoke(settings, "create-topic").output == "topic by-command: was there already\n"


def test_the_doctor_is_content_with_a_topic_that_has_fresh_records(settings):
    invoke(settings, "send-test-events", "--count", "5", "--delay", "0")
    result = invoke(settings, "doctor")
    assert result.exit_code == 0
    assert f"ok     broker {settings.kafka_brokers}: takes connections" in result.output
    assert f"ok     topic {settings.topic}: 4 partitions, offsets 0: 0 to" in result.output
    assert "ok     last record: 0 s ago" in result.output or "ok     last record: 1 s ago" in result.output
    assert "a start would read the last 5 of 5 records (KAFKA_BACKLOG=10000/1h)" in result.output
    assert result.output.endswith("all is well\n")


def test_the_doctor_says_what_to_do_about_an_empty_topic(settings):
    result = invoke(settings, "doctor")
    assert result.exit_code == 0
    assert "note   records: there are none yet" in result.output
    assert "send-test-events" in result.output


def test_the_doctor_says_which_broker_takes_no_connection():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        result = invoke(Settings(kafka_brokers=f"{address},no.such.host.invalid:9092"), "doctor")
    assert result.exit_code == 1
    assert f"WRONG  broker {address}: no connection: nothing listens there" in result.output
    assert "WRONG  broker no.such.host.invalid:9092: its name can't be resolved: " in result.output
    assert "start the broker, or correct KAFKA_BROKERS" in result.output
    assert result.output.endswith("2 wrong\n")


def test_the_doctor_answers_in_time_when_something_takes_connections_and_says_nothing():
    with silent_server() as address:
        begin = time.monotonic()
        result = invoke(Settings(kafka_brokers=address), "doctor")
        assert time.monotonic() - begin < 10
    assert result.exit_code == 1
    assert "no answer in the Kafka protocol in 3.5 s" in result.output
    assert "KAFKA_SECURITY_PROTOCOL (now PLAINTEXT)" in result.output


def test_the_doctor_answers_in_time_when_a_broker_hangs():
    with EmbeddedBroker() as broker:
        os.kill(broker.pid, signal.SIGSTOP)
        begin = time.monotonic()
        result = invoke(Settings(kafka_brokers=broker.address), "doctor")
        assert time.monotonic() - begin < 10
    assert result.exit_code == 1
    assert "isn't stuck" in result.output


def test_the_doctor_shows_no_secret():
    secret = "correct horse battery staple"
    settings = Settings(
        kafka_brokers="",
        kafka_url=f"kafka+ssl://user:{secret}@127.0.0.1:1",
        kafka_sasl_password=secret,
        kafka_client_cert_key=secret,
    )
    result = invoke(settings, "doctor")
    assert secret not in result.output
    assert "KAFKA_SASL_PASSWORD=(set, not shown)" in result.output
    assert "KAFKA_URL=***@127.0.0.1:1" in result.output
    assert "start the broker, or correct KAFKA_URL" in result.output


def test_the_doctor_without_settings_says_which_one_is_missing():
    result = invoke(Settings(), "doctor")
    assert "note   settings: all defaults" in result.output
    assert "broker localhost:9092" in result.output
    assert "ok     broker" in result.output or "set KAFKA_BROKERS, which isn't set" in result.output


def test_the_doctor_names_wrong_certificates_even_when_no_broker_can_be_reached(tmp_path):
    missing = str(tmp_path / "missing.pem")
    settings = Settings(kafka_brokers="127.0.0.1:9", kafka_security_protocol="SSL", kafka_ssl_cafile=missing)
    result = invoke(settings, "doctor")
    assert f"KAFKA_SECURITY_PROTOCOL=SSL, KAFKA_SSL_CAFILE={missing}" in result.output
    assert f"WRONG  settings: KAFKA_SSL_CAFILE={missing!r} can't be used: " in result.output
    assert "WRONG  broker 127.0.0.1:9: no connection" in result.output
    assert result.output.endswith("2 wrong\n")


def test_the_doctor_says_what_is_wrong_with_a_certificate(tmp_path, broker):
    settings = Settings(
        kafka_brokers=broker.address, kafka_security_protocol="SSL", kafka_ssl_cafile=str(tmp_path / "missing.pem")
    )
    result = invoke(settings, "doctor")
    assert result.exit_code == 1
    assert "WRONG  settings: " in result.output
    assert "KAFKA_SSL_CAFILE" in result.output


@pytest.mark.parametrize("name", COMMANDS)
def test_help_explains_a_command_in_one_whole_line_and_each_of_its_options(name):
    command = create_app(Settings()).cli.get_command(None, name)
    assert not command.get_short_help_str(limit=60).endswith("...")
    for option in command.params:
        assert isinstance(option, click.Argument) or option.help, option.name
    assert "%Y" not in invoke(Settings(), name, "--help").output


def test_the_five_landmarks_are_those_of_the_documentation():
    assert [each.segment_id for each in LANDMARKS] == ["LA_001", "LA_002", "LA_003", "LA_004", "LA_005"]
    assert LANDMARKS[2] == ("LA_003", "I-210 Pasadena", 34.1478, -118.1445)
