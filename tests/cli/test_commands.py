import functools
import os
import signal
import threading

import click
import pytest

from app import COMMANDS, create_app
from cli import commands
from cli.landmarks import LANDMARKS
from cli.publish import Publisher, create_topic
from consumer.settings import Settings
from consumer.version import VERSION
from tests.cli.helpers import closed_port, eventually, invoke, published, silent_server


@pytest.fixture
def settings(broker, request):
    """Return settings for a new topic with four partitions."""
    chosen = Settings(kafka_brokers=broker.address, kafka_topic=f"commands-{abs(hash(request.node.name))}")
    create_topic(chosen, 4)
    return chosen


def test_test_events_cover_the_five_landmarks_and_show_their_offsets(settings):
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
    result = invoke(settings, "send-test-events", "--count", "3", "--delay", "3600")
    assert result.exit_code == 0
    assert result.output.splitlines()[-1] == "stopped after 1 of 3 events"
    assert signal.getsignal(number) is before
    interrupter.join()


def test_test_events_without_an_answer_end_with_one_line_and_code_1(monkeypatch):
    monkeypatch.setattr(commands, "Publisher", functools.partial(Publisher, timeout=0.3))
    with silent_server() as address:
        result = invoke(Settings(kafka_brokers=address), "send-test-events", "--count", "1")
    assert result.exit_code == 1
    (line,) = result.output.splitlines()
    assert line.startswith(f"Error: no answer for topic traffic-predictions at {address}: check KAFKA_BROKERS")


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
def test_a_number_out_of_range_is_refused_before_anything_is_done(arguments):
    result = invoke(Settings(kafka_brokers="127.0.0.1:9"), *arguments.split())
    assert result.exit_code == 2
    assert f"Invalid value for '{arguments.split()[-2]}'" in result.output


def test_create_topic_leaves_an_existing_topic_alone(broker):
    settings = Settings(kafka_brokers=broker.address, kafka_topic="by-command")
    created = invoke(settings, "create-topic", "--partitions", "2")
    assert created.output == "topic by-command: created with 2 partitions\n"
    assert invoke(settings, "create-topic").output == "topic by-command: already exists\n"


def test_create_topic_needs_the_name_of_the_topic_of_acknowledgements():
    result = invoke(Settings(kafka_brokers="127.0.0.1:9"), "create-topic", "--acknowledgements")
    assert (result.exit_code, "ACKNOWLEDGEMENTS_TOPIC is not set" in result.output) == (1, True)


def test_doctor_finds_no_errors_in_a_topic_with_fresh_records(settings):
    invoke(settings, "send-test-events", "--count", "5", "--delay", "0")
    result = invoke(settings, "doctor")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert f"ok     broker {settings.kafka_brokers}: accepts connections" in lines
    assert "ok     Kafka: the broker answers" in lines
    assert "ok     messages: 5 of the last 5 can be read" in lines
    assert "ok     backlog: the server starts with the last 5 of 5 records (KAFKA_BACKLOG=10000/1h)" in lines
    assert f"ok     topic {settings.topic}: 4 partitions; offsets by partition: 0: 0 to " in result.output
    assert "ok     last record: " in result.output
    assert lines[-1] == "no errors"


def test_doctor_names_the_command_that_fills_an_empty_topic(settings):
    result = invoke(settings, "doctor")
    assert result.exit_code == 0
    assert "note   records: none yet\n       → start a producer, or run `flask --app app send-te" in result.output


def test_doctor_exits_with_code_1_after_errors():
    with closed_port() as address:
        result = invoke(Settings(kafka_brokers=f"{address},no.such.host.invalid:9092"), "doctor")
    assert result.exit_code == 1
    assert f"ERROR  broker {address}: connection refused: nothing listens there" in result.output
    assert "ERROR  broker no.such.host.invalid:9092: the host name can't be resolved: " in result.output
    assert "start the broker, or correct KAFKA_BROKERS" in result.output
    assert result.output.endswith("\n2 errors\n")


def test_doctor_without_settings_names_the_one_to_set():
    result = invoke(Settings(), "doctor")
    assert "note   settings: all defaults" in result.output
    assert "broker localhost:9092" in result.output
    assert "ok     broker" in result.output or "set KAFKA_BROKERS, which is not set" in result.output


def test_version_prints_the_version():
    assert invoke(Settings(), "version").output == f"{VERSION}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_describes_a_command_in_one_line_and_each_option(name):
    command = create_app(Settings()).cli.get_command(None, name)
    assert not command.get_short_help_str(limit=60).endswith("...")
    for option in command.params:
        assert isinstance(option, click.Argument) or option.help, option.name
    assert "%Y" not in invoke(Settings(), name, "--help").output


def test_the_landmarks_are_those_of_the_documentation():
    assert [each.segment_id for each in LANDMARKS] == ["LA_001", "LA_002", "LA_003", "LA_004", "LA_005"]
    assert LANDMARKS[2] == ("LA_003", "I-210 Pasadena", 34.1478, -118.1445)
