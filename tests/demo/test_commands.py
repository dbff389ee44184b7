import contextlib
import functools
import os
import signal
import socket
import threading
import time

import click
import flask
import pytest

from consumer.settings import Settings
from consumer.sources.kafka import KafkaSource
from demo import commands, replay_command
from demo.broker import EmbeddedBroker
from demo.network import LANDMARKS, segments
from demo.publish import Publisher, create_topic
from tests.demo.helpers import eventually, silent_server
from tests.demo.recordings import SENSORS, recording, write


@pytest.fixture
def settings(broker, request):
    """Give settings for a topic of the test's own, with four partitions."""
    chosen = Settings(kafka_brokers=broker.address, kafka_topic=f"commands-{abs(hash(request.node.name))}")
    create_topic(chosen, 4)
    return chosen


def invoke(settings, *arguments):
    """Run a command of an application with these settings."""
    app = flask.Flask("test")
    app.config["GREENWAVE_SETTINGS"] = settings
    commands.register(app)
    return app.test_cli_runner().invoke(args=list(arguments))


def replay(settings, speeds, sensors, *options):
    """Replay a recording of `tests.demo.recordings` as fast as it goes."""
    known = ("--sensors", str(sensors), "--start", "2012-03-05T00:00", "--step", "900", "--speed", "max")
    return invoke(settings, "replay", str(speeds), *known, *options)


def published(settings, count):
    """Return the first `count` records of the topic."""
    source, records = KafkaSource(settings), []
    try:
        eventually(lambda: source.topic() is not None)
        source.assign([0] * source.topic().partitions)
        eventually(lambda: records.extend(source.poll(0.2)) or len(records) >= count)
    finally:
        source.close()
    return records


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


def test_the_synthetic_feed_fills_the_past_and_publishes_every_segment(settings):
    result = invoke(settings, "synthetic-feed", "--steps", "1", "--interval", "0.2", "--past", "2")
    assert result.exit_code == 0
    assert f"{len(segments())} segments" in result.output
    records = published(settings, 3 * len(segments()))
    assert {record.key.decode() for record in records} == {segment.segment_id for segment in segments()}


@contextlib.contextmanager
def nobody():
    """Give an address that refuses connections."""
    yield "127.0.0.1:9"


@pytest.mark.parametrize("kafka", [silent_server, nobody])
def test_the_synthetic_feed_goes_on_trying_when_kafka_does_not_answer(monkeypatch, kafka):
    monkeypatch.setattr(commands, "_FEED_TIMEOUT_SECONDS", 0.3)
    with kafka() as address:
        options = ("--steps", "2", "--interval", "0.2", "--past", "1")
        result = invoke(Settings(kafka_brokers=address), "synthetic-feed", *options)
    assert result.exit_code == 0
    first, second, *rest = result.output.splitlines()
    assert first.startswith(
        f"warning: no answer for topic traffic-predictions at {address}: check that the broker runs"
    )
    assert first.endswith("Still trying; what is due meanwhile is left out")
    assert "0 messages of the past" in second
    assert not [line for line in rest if "warning" in line]


def test_commands_that_publish_once_end_with_one_line_and_exit_code_1_when_kafka_does_not_answer(tmp_path, monkeypatch):
    impatient = functools.partial(Publisher, timeout=0.3)
    monkeypatch.setattr(commands, "Publisher", impatient)
    monkeypatch.setattr(replay_command, "Publisher", impatient)
    speeds, sensors = write(tmp_path, recording(days=2))
    with silent_server() as address:
        silent = Settings(kafka_brokers=address)
        for result in (
            invoke(silent, "send-test-events", "--count", "1"),
            replay(silent, speeds, sensors, "--horizons", "15", "--limit", "1"),
        ):
            assert result.exit_code == 1
            assert result.output.splitlines()[-1].startswith("Error: no answer for topic traffic-predictions at")
            assert "Traceback" not in result.output


@pytest.mark.parametrize("name", ["speeds.csv", "speeds.csv.gz"])
def test_a_replay_publishes_the_part_that_was_asked_for_and_shows_its_scores(settings, tmp_path, name):
    speeds, sensors = write(tmp_path, recording(days=3), name)
    span = ("--from", "2012-03-06T06:00", "--until", "2012-03-06T09:00")
    result = replay(settings, speeds, sensors, "--horizons", "15,30", *span)
    assert result.exit_code == 0
    assert "12 steps" in result.output
    assert "2012-03-06 08:45  step 12/12" in result.output
    assert "learnt from all other days" in result.output
    assert result.output.splitlines()[-1].startswith(" 30 min")
    assert len(published(settings, 120)) == 12 * len(SENSORS) * 2


def test_a_replay_says_when_there_was_nothing_to_learn_from(settings, tmp_path):
    speeds, sensors = write(tmp_path, recording(days=2))
    result = replay(settings, speeds, sensors, "--horizons", "15", "--limit", "2", "--fit", "before")
    assert result.exit_code == 0
    assert "2 steps had no day to learn from" in result.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--start 2012-03-05T00:00 --zone Mars/Base", "--zone Mars/Base: allowed: a name such as America/Los_Angeles"),
        ("--start 2012-03-05T00:00 --step 7", "--step 7: allowed"),
        ("--start 2012-03-05T00:00 --step 0", "--step"),
        ("--start 2012-03-05T00:00 --speed 0", "'0'; allowed: a number from 0.001 to 1000000, or max"),
        ("--start 2012-03-05T00:00 --speed quick", "'quick'; allowed: a number from 0.001 to 1000000, or max"),
        ("--start 2012-03-05T00:00 --step 900 --horizons 15,x", "'15,x'; allowed: different whole numbers of minutes"),
        ("--start 2012-03-05T00:00 --step 900 --horizons 15,15", "'15,15'; allowed: different whole numbers"),
        ("--start 2012-03-05T00:00 --step 900 --horizons 20", "--horizons 20: allowed"),
        ("--start 2012-03-05T00:00 --step 900 --horizons 15 --from 2013-01-01", "leave no step"),
        ("--start yesterday", "--start"),
        ("--start 9999-12-31 --step 900 --horizons 15", "in 2000 to 2200; other times are refused"),
        ("--start 0001-01-01 --step 900 --horizons 15", "in 2000 to 2200; other times are refused"),
        ("--step 900", "--start"),
    ],
)
def test_wrong_options_of_a_replay_end_with_exit_code_2_before_anything_is_published(tmp_path, options, said):
    speeds, sensors = write(tmp_path, recording(days=1))
    # There is no broker at this address: an attempt to publish would end with another code.
    nowhere = Settings(kafka_brokers="127.0.0.1:9")
    result = invoke(nowhere, "replay", str(speeds), "--sensors", str(sensors), *options.split())
    assert result.exit_code == 2
    assert said in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        "send-test-events --delay inf",
        "send-test-events --delay nan",
        "send-test-events --delay 1e12",
        "send-test-events --delay -1",
        "send-test-events --count 1000000000000",
        "synthetic-feed --interval inf",
        "synthetic-feed --interval nan",
        "synthetic-feed --interval 1e12",
        "synthetic-feed --steps 1000000000000",
        "synthetic-feed --past 61",
        "create-topic --partitions 1001",
        "replay none.csv --sensors none.csv --start 2012-03-05 --speed nan",
        "replay none.csv --sensors none.csv --start 2012-03-05 --speed inf",
        "replay none.csv --sensors none.csv --start 2012-03-05 --speed 1e-300",
        "replay none.csv --sensors none.csv --start 2012-03-05 --step 1000000000000",
        "replay none.csv --sensors none.csv --start 2012-03-05 --limit 1000000000000",
    ],
)
def test_a_number_that_no_clock_can_wait_for_is_refused_before_anything_is_done(arguments):
    result = invoke(Settings(kafka_brokers="127.0.0.1:9"), *arguments.split())
    assert result.exit_code == 2
    assert f"Invalid value for '{arguments.split()[-2]}'" in result.output


def test_a_wrong_file_ends_a_replay_with_one_line_and_exit_code_2(tmp_path):
    speeds, sensors = write(tmp_path, recording(days=1))
    speeds.write_text(speeds.read_text() + "1,2,3\n")
    arguments = ("replay", str(speeds), "--sensors", str(sensors), "--start", "2012-03-05", "--step", "900")
    result = invoke(Settings(kafka_brokers="127.0.0.1:9"), *arguments)
    assert result.exit_code == 2
    assert result.output.splitlines() == [
        f"reading {speeds}",
        f"Error: {speeds}, line 98: 3 fields; allowed: 5, as in the header",
    ]


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


@pytest.mark.parametrize("name", ["send-test-events", "synthetic-feed", "replay", "doctor", "create-topic"])
def test_help_explains_a_command_in_one_whole_line_and_each_of_its_options(name):
    app = flask.Flask("test")
    commands.register(app)
    command = app.cli.commands[name]
    assert not command.get_short_help_str(limit=60).endswith("...")
    for option in command.params:
        assert isinstance(option, click.Argument) or option.help, option.name
    assert "%Y" not in invoke(Settings(), name, "--help").output
