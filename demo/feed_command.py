"""The command `synthetic-feed`."""

import time

import click
import flask

from cli.options import COUNT, Seconds, app_settings, readable_errors
from cli.publish import Publisher
from cli.stopping import stop_event
from consumer.settings import Settings

from . import synthetic
from .network import segments
from .progress import Progress
from .retrying import RetryingPublisher
from .traffic import Traffic

_TIMEOUT_SECONDS = 5.0
"""Deadline of an acknowledgement, and so the maximum time that Ctrl-C takes during an outage."""


@click.command("synthetic-feed", short_help="Publish synthetic traffic until stopped.")
@click.option("--interval", type=Seconds(0.1), default=5.0, show_default=True, help="Seconds of one round.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the random traffic.")
@click.option(
    "--past",
    type=click.IntRange(0, 60),
    default=20,
    show_default=True,
    help="Minutes of past to publish at the start. From 16 on, forecasts can be scored at once.",
)
@click.option("--steps", type=COUNT, help="Maximum number of rounds.")
@flask.cli.with_appcontext
def synthetic_feed(interval: float, seed: int, past: int, steps: int | None) -> None:
    """Publish synthetic traffic on the freeways of Los Angeles in real time, until stopped.

    During an outage of Kafka, messages are dropped and the connection is retried.
    """
    settings, network = app_settings(), segments()
    messages = synthetic.MessageMaker(Traffic(network, seed), settings)
    with readable_errors(), _publisher(settings) as sender, stop_event() as stop:
        synthetic.fill(sender, messages, network, time.time(), past)
        filled = sender.acknowledged
        _print(f"{filled:,} messages of the past published; {len(network)} segments, one round every {interval:g} s")
        progress = Progress(steps, every_seconds=60)
        synthetic.run(
            sender,
            messages,
            network,
            stop,
            interval=interval,
            steps=steps,
            progress=lambda done, _: progress.show(f"round {done:,}", done, sender.acknowledged - filled),
        )
        progress.end()


def _publisher(settings: Settings) -> RetryingPublisher:
    return RetryingPublisher(lambda: Publisher(settings, timeout=_TIMEOUT_SECONDS), _print)


def _print(text: str) -> None:
    click.echo(text, err=True)
