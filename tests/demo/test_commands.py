import functools

import pytest

from cli.publish import Publisher, create_topic
from consumer.settings import Settings
from demo import feed_command, replay_command
from demo.network import segments
from tests.cli.helpers import closed_port, invoke, published, silent_server
from tests.demo.recordings import SENSORS, recording, write


@pytest.fixture
def settings(broker, request):
    """Give settings for a topic of the test's own, with four partitions."""
    chosen = Settings(kafka_brokers=broker.address, kafka_topic=f"commands-{abs(hash(request.node.name))}")
    create_topic(chosen, 4)
    return chosen


def replay(settings, speeds, sensors, *options):
    """Replay a recording of `tests.demo.recordings` as fast as it goes."""
    known = ("--sensors", str(sensors), "--start", "2012-03-05T00:00", "--step", "900", "--speed", "max")
    return invoke(settings, "replay", str(speeds), *known, *options)


def test_the_synthetic_feed_publishes_the_past_and_every_segment(settings):
    result = invoke(settings, "synthetic-feed", "--steps", "1", "--interval", "0.2", "--past", "2")
    assert result.exit_code == 0
    assert f"{len(segments())} segments" in result.output
    records = published(settings, 3 * len(segments()))
    assert {record.key.decode() for record in records} == {segment.segment_id for segment in segments()}


@pytest.mark.parametrize("kafka", [silent_server, closed_port])
def test_the_synthetic_feed_retries_without_kafka(monkeypatch, kafka):
    monkeypatch.setattr(feed_command, "_TIMEOUT_SECONDS", 0.3)
    with kafka() as address:
        options = ("--steps", "2", "--interval", "0.2", "--past", "1")
        result = invoke(Settings(kafka_brokers=address), "synthetic-feed", *options)
    assert result.exit_code == 0
    first, second, *rest = result.output.splitlines()
    assert first.startswith(f"warning: no answer for topic traffic-predictions at {address}: check KAFKA_BROKERS")
    assert first.endswith("Retrying; messages are dropped until then")
    assert "0 messages of the past" in second
    assert not [line for line in rest if "warning" in line]


@pytest.mark.parametrize("name", ["speeds.csv", "speeds.csv.gz"])
def test_a_replay_publishes_the_selected_part_and_prints_scores(settings, tmp_path, name):
    speeds, sensors = write(tmp_path, recording(days=3), name)
    span = ("--from", "2012-03-06T06:00", "--until", "2012-03-06T09:00")
    result = replay(settings, speeds, sensors, "--horizons", "15,30", *span)
    assert result.exit_code == 0
    assert "12 steps" in result.output
    assert "2012-03-06 08:45  step 12/12" in result.output
    assert "fitted on all other days" in result.output
    assert result.output.splitlines()[-1].startswith(" 30 min")
    assert len(published(settings, 120)) == 12 * len(SENSORS) * 2


def test_a_replay_reports_steps_without_a_fit(settings, tmp_path):
    speeds, sensors = write(tmp_path, recording(days=2))
    result = replay(settings, speeds, sensors, "--horizons", "15", "--limit", "2", "--fit", "before")
    assert result.exit_code == 0
    assert "2 steps without a day to fit on" in result.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--start 2012-03-05T00:00 --zone Mars/Base", "--zone Mars/Base: allowed: a name such as America/Los_Angeles"),
        ("--start 2012-03-05T00:00 --step 7", "--step 7: allowed"),
        ("--start 2012-03-05T00:00 --step 0", "--step"),
        ("--start 2012-03-05T00:00 --speed 0", "'0'; allowed: a number from 0.001 to 1000000, or max"),
        ("--start 2012-03-05T00:00 --speed quick", "'quick'; allowed: a number from 0.001 to 1000000, or max"),
        ("--start 2012-03-05T00:00 --step 900 --horizons 15,x", "'15,x'; allowed: distinct whole numbers of minutes"),
        ("--start 2012-03-05T00:00 --step 900 --horizons 15,15", "'15,15'; allowed: distinct whole numbers"),
        ("--start 2012-03-05T00:00 --step 900 --horizons 20", "--horizons 20: allowed"),
        ("--start 2012-03-05T00:00 --step 900 --horizons 15 --from 2013-01-01", "select no step"),
        ("--start yesterday", "--start"),
        ("--start 9999-12-31 --step 900 --horizons 15", "in 2000 to 2200; the server refuses other times"),
        ("--start 0001-01-01 --step 900 --horizons 15", "in 2000 to 2200; the server refuses other times"),
        ("--step 900", "--start"),
    ],
)
def test_wrong_options_of_a_replay_end_with_exit_code_2(tmp_path, options, said):
    speeds, sensors = write(tmp_path, recording(days=1))
    # There is no broker at this address: an attempt to publish would end with another code.
    nowhere = Settings(kafka_brokers="127.0.0.1:9")
    result = invoke(nowhere, "replay", str(speeds), "--sensors", str(sensors), *options.split())
    assert result.exit_code == 2
    assert said in result.output


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


def test_a_replay_without_kafka_ends_with_one_line_and_exit_code_1(tmp_path, monkeypatch):
    monkeypatch.setattr(replay_command, "Publisher", functools.partial(Publisher, timeout=0.3))
    speeds, sensors = write(tmp_path, recording(days=2))
    with silent_server() as address:
        result = replay(Settings(kafka_brokers=address), speeds, sensors, "--horizons", "15", "--limit", "1")
    assert result.exit_code == 1
    assert result.output.splitlines()[-1].startswith("Error: no answer for topic traffic-predictions at")
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        "synthetic-feed --interval inf",
        "synthetic-feed --interval nan",
        "synthetic-feed --interval 1e12",
        "synthetic-feed --steps 1000000000000",
        "synthetic-feed --past 61",
        "replay none.csv --sensors none.csv --start 2012-03-05 --speed nan",
        "replay none.csv --sensors none.csv --start 2012-03-05 --speed inf",
        "replay none.csv --sensors none.csv --start 2012-03-05 --speed 1e-300",
        "replay none.csv --sensors none.csv --start 2012-03-05 --step 1000000000000",
        "replay none.csv --sensors none.csv --start 2012-03-05 --limit 1000000000000",
    ],
)
def test_a_number_out_of_range_is_refused_before_anything_is_done(arguments):
    result = invoke(Settings(kafka_brokers="127.0.0.1:9"), *arguments.split())
    assert result.exit_code == 2
    assert f"Invalid value for '{arguments.split()[-2]}'" in result.output
