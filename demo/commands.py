"""The commands of `flask --app app`: test events, feeds and the doctor."""

import random
import sys
import time
from typing import Any

import click
import flask

from consumer.settings import Settings

from . import cli, synthetic
from .doctor import Finding, examine
from .enduring import Enduring
from .network import LANDMARKS, Landmark, segments
from .progress import Progress
from .publish import Publisher, create_topic
from .replay_command import replay
from .stopping import stop_event
from .traffic import Traffic

_FEED_TIMEOUT_SECONDS = 5.0
"""How long a message of a feed may wait for its acknowledgement; also the longest that Ctrl-C takes in an outage."""


def register(app: flask.Flask) -> None:
    """Add the commands to the application."""
    for command in (send_test_events, replay, synthetic_feed, doctor, create_topic_command):
        app.cli.add_command(command)


@click.command("send-test-events", short_help="Publish test predictions for five segments.")
@click.option("--count", type=cli.MANY, default=10, show_default=True, help="How many events.")
@click.option("--delay", type=cli.Seconds(0), default=3.0, show_default=True, help="Seconds between two events.")
@flask.cli.with_appcontext
def send_test_events(count: int, delay: float) -> None:
    """Publish random predictions for the five segments that everybody knows, and show where each one went.

    Each is acknowledged by Kafka; exit code 1 when one is not in time.
    """
    settings = cli.settings()
    with cli.explained(), Publisher(settings) as publisher, stop_event() as stop:
        for number in range(count):
            event = landmark_event(LANDMARKS[number % len(LANDMARKS)], settings)
            place = publisher.publish(event["segment_id"], event)
            speeds = f"{event['current_speed']:5.1f} now, {event['predicted_speed']:5.1f} predicted"
            where = f"partition {place.partition}, offset {place.offset}"
            click.echo(f"{number + 1}/{count}  {event['segment_id']}  {event['road_name']:<21} {speeds}  {where}")
            if number + 1 < count and stop.wait(delay):
                click.echo(f"stopped after {number + 1} of {count}")
                break


def landmark_event(landmark: Landmark, settings: Settings) -> dict[str, Any]:
    """Return a random prediction for a landmark, made now; speeds are in SPEED_UNIT."""
    current = random.uniform(15, 70)
    predicted = min(75.0, max(5.0, current + random.gauss(0, 8)))
    return {
        "segment_id": landmark.segment_id,
        "timestamp": round(time.time() * 1000),
        "current_speed": round(current / settings.mph_per_unit, 1),
        "predicted_speed": round(predicted / settings.mph_per_unit, 1),
        "horizon_minutes": 15,
        "road_name": landmark.road_name,
        "coordinates": {"latitude": landmark.latitude, "longitude": landmark.longitude},
        "model": "random",
        "source": "test",
    }


@click.command("synthetic-feed", short_help="Publish made-up traffic until it is stopped.")
@click.option("--interval", type=cli.Seconds(0.1), default=5.0, show_default=True, help="Seconds of one round.")
@click.option("--seed", type=int, default=1, show_default=True, help="Which traffic; the same seed gives the same.")
@click.option(
    "--past",
    type=click.IntRange(0, 60),
    default=20,
    show_default=True,
    help="Minutes to fill at the start; beyond 15, forecasts of then are scored at once.",
)
@click.option("--steps", type=cli.MANY, help="End after so many rounds.")
@flask.cli.with_appcontext
def synthetic_feed(interval: float, seed: int, past: int, steps: int | None) -> None:
    """Publish made-up traffic on the freeways of Los Angeles, as of now, until it is stopped.

    While Kafka takes no messages it goes on trying, and says so.
    """
    settings, network = cli.settings(), segments()
    forecaster = synthetic.Forecaster(Traffic(network, seed), settings)
    with cli.explained(), _enduring(settings) as sender, stop_event() as stop:
        synthetic.fill(sender, forecaster, network, time.time(), past)
        filled = sender.acknowledged
        click.echo(
            f"{len(network)} segments, one round every {interval:g} s; {filled:,} messages of the past", err=True
        )
        progress = Progress(steps, every_seconds=60)
        synthetic.run(
            sender,
            forecaster,
            network,
            stop,
            interval=interval,
            steps=steps,
            progress=lambda done, _: progress.show(f"round {done:,}", done, sender.acknowledged - filled),
        )
        progress.end()


def _enduring(settings: Settings) -> Enduring:
    return Enduring(lambda: Publisher(settings, timeout=_FEED_TIMEOUT_SECONDS), lambda text: click.echo(text, err=True))


@click.command(short_help="Say what is wrong with settings, broker or topic.")
@flask.cli.with_appcontext
def doctor() -> None:
    """Look at settings, broker, topic and backlog; say what is wrong and what to do.

    It takes ten seconds at most. Exit code 0 when nothing is wrong, else 1.
    """
    findings = []
    for finding in examine(cli.settings()):
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
    settings = cli.settings()
    with cli.explained():
        created = create_topic(settings, partitions)
    click.echo(f"topic {settings.topic}: " + (f"created, {partitions} partitions" if created else "was there already"))
