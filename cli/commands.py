"""The commands `doctor`, `create-topic`, `send-test-events` and `version`."""

import sys

import click
import flask

from consumer.version import VERSION

from .doctor import examine
from .landmarks import LANDMARKS, random_event
from .options import COUNT, Seconds, app_settings, readable_errors
from .publish import Publisher, create_topic
from .stopping import stop_event


@click.command(short_help="Check settings, brokers and topic.")
@flask.cli.with_appcontext
def doctor() -> None:
    """Check settings, brokers, topic and backlog, and give advice on what is wrong.

    Takes at most ten seconds. The exit code is 0 without errors, else 1.
    """
    errors = 0
    for finding in examine(app_settings()):
        click.echo(finding.text())
        errors += finding.ok is False
    click.echo(f"{errors} error{'s' * (errors != 1)}" if errors else "no errors")
    if errors:
        sys.exit(1)


@click.command("create-topic", short_help="Create the topic of the settings.")
@click.option("--partitions", type=click.IntRange(1, 1000), default=4, show_default=True, help="Number of partitions.")
@click.option(
    "--acknowledgements",
    is_flag=True,
    help="Create ACKNOWLEDGEMENTS_TOPIC in place of KAFKA_TOPIC: compacted, with one partition.",
)
@flask.cli.with_appcontext
def create_topic_command(partitions: int, acknowledgements: bool) -> None:
    """Create the topic of the settings if it does not exist."""
    settings = app_settings()
    if acknowledgements:
        if not settings.acknowledgements_topic:
            raise click.ClickException("ACKNOWLEDGEMENTS_TOPIC is not set; set it to the name of the topic")
        settings, partitions = settings.for_acknowledgements, 1
    with readable_errors():
        created = create_topic(settings, partitions, is_compacted=acknowledgements)
    how = f"created with {partitions} partition{'s' * (partitions > 1)}" + ", compacted" * acknowledgements
    click.echo(f"topic {settings.topic}: {how if created else 'already exists'}")


@click.command("send-test-events", short_help="Publish test predictions for five segments.")
@click.option("--count", type=COUNT, default=10, show_default=True, help="Number of events.")
@click.option("--delay", type=Seconds(0), default=3.0, show_default=True, help="Seconds between two events.")
@flask.cli.with_appcontext
def send_test_events(count: int, delay: float) -> None:
    """Publish random predictions for five well-known segments, and show the offset of each.

    The exit code is 1 when Kafka does not acknowledge an event within ten seconds.
    """
    settings = app_settings()
    with readable_errors(), Publisher(settings) as publisher, stop_event() as stop:
        for number in range(count):
            event = random_event(LANDMARKS[number % len(LANDMARKS)], settings)
            stored = publisher.publish(event["segment_id"], event)
            speeds = f"{event['current_speed']:5.1f} now, {event['predicted_speed']:5.1f} predicted"
            where = f"partition {stored.partition}, offset {stored.offset}"
            click.echo(f"{number + 1}/{count}  {event['segment_id']}  {event['road_name']:<21} {speeds}  {where}")
            if number + 1 < count and stop.wait(delay):
                click.echo(f"stopped after {number + 1} of {count} events")
                break


@click.command(short_help="Show the version of Greenwave.")
def version() -> None:
    """Show the version of Greenwave."""
    click.echo(VERSION)
