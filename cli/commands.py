"""The commands `doctor`, `create-topic`, `send-test-events` and `version`."""

import sys

import click
import flask

from consumer.version import VERSION

from . import options
from .doctor import Finding, examine
from .landmarks import LANDMARKS, landmark_event
from .publish import Publisher, create_topic
from .stopping import stop_event


@click.command("send-test-events", short_help="Publish test predictions for five segments.")
@click.option("--count", type=options.MANY, default=10, show_default=True, help="How many events.")
@click.option("--delay", type=options.Seconds(0), default=3.0, show_default=True, help="Seconds between two events.")
@flask.cli.with_appcontext
def send_test_events(count: int, delay: float) -> None:
    """Publish random predictions for the five segments that everybody knows, and show where each one went.

    Each is acknowledged by Kafka; exit code 1 when one is not in time.
    """
    settings = options.settings()
    with options.explained(), Publisher(settings) as publisher, stop_event() as stop:
        for number in range(count):
            event = landmark_event(LANDMARKS[number % len(LANDMARKS)], settings)
            place = publisher.publish(event["segment_id"], event)
            speeds = f"{event['current_speed']:5.1f} now, {event['predicted_speed']:5.1f} predicted"
            where = f"partition {place.partition}, offset {place.offset}"
            click.echo(f"{number + 1}/{count}  {event['segment_id']}  {event['road_name']:<21} {speeds}  {where}")
            if number + 1 < count and stop.wait(delay):
                click.echo(f"stopped after {number + 1} of {count}")
                break


@click.command(short_help="Say what is wrong with settings, broker or topic.")
@flask.cli.with_appcontext
def doctor() -> None:
    """Look at settings, broker, topic and backlog; say what is wrong and what to do.

    It takes ten seconds at most. Exit code 0 when nothing is wrong, else 1.
    """
    findings = []
    for finding in examine(options.settings()):
        findings.append(finding)
        click.echo(_line(finding))
    wrong = sum(finding.ok is False for finding in findings)
    click.echo(f"{wrong} wrong" if wrong else "all is well")
    if wrong:
        sys.exit(1)


def _line(finding: Finding) -> str:
    mark = {True: "ok   ", False: "WRONG", None: "note "}[finding.ok]
    advice = f"\n       → {finding.advice}" if finding.advice else ""
    return f"{mark}  {finding.what}: {finding.said}{advice}"


@click.command("create-topic", short_help="Create the topic of the settings.")
@click.option("--partitions", type=click.IntRange(1, 1000), default=4, show_default=True, help="How many.")
@flask.cli.with_appcontext
def create_topic_command(partitions: int) -> None:
    """Create the topic of the settings, if it is not there yet."""
    settings = options.settings()
    with options.explained():
        created = create_topic(settings, partitions)
    click.echo(f"topic {settings.topic}: " + (f"created, {partitions} partitions" if created else "was there already"))


@click.command(short_help="Show the version of Greenwave.")
def version() -> None:
    """Show the version of Greenwave."""
    click.echo(VERSION)
