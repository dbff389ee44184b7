"""The command `synthetic-feed`."""

import time

import click
import flask

from cli.options import COUNT, Seconds, app_settings, readable_errors
from cli.publish import Publisher
from cli.stopping import stop_event
from consumer.settings import Settings

from . import synthetic
from .enduring import Enduring
from .network import segments
from .progress import Progress
from .traffic import Traffic

_FEED_TIMEOUT_SECONDS = 5.0
"""How long a message of a feed may wait for its acknowledgement; also the longest that Ctrl-C takes in an outage."""


@click.command("synthetic-feed", short_help="Publish made-up traffic until it is stopped.")
@click.option("--interval", type=Seconds(0.1), default=5.0, show_default=True, help="Seconds of one round.")
@click.option("--seed", type=int, default=1, show_default=True, help="Which traffic; the same seed gives the same.")
@click.option(
    "--past",
    type=click.IntRange(0, 60),
    default=20,
    show_default=True,
    help="Minutes to fill at the start; beyond 15, forecasts of then are scored at once.",
)
@click.option("--steps", type=COUNT, help="End after so many rounds.")
@flask.cli.with_appcontext
def synthetic_feed(interval: float, seed: int, past: int, steps: int | None) -> None:
    """Publish made-up traffic on the freeways of Los Angeles, as of now, until it is stopped.

    While Kafka takes no messages it goes on trying, and says so.
    """
    settings, network = app_settings(), segments()
    forecaster = synthetic.Forecaster(Traffic(network, seed), settings)
    with readable_errors(), _enduring(settings) as sender, stop_event() as stop:
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
