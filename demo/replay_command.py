"""The command `replay`."""

from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import click
import flask

from cli.options import COUNT, DAY_SECONDS, app_settings, readable_errors
from cli.publish import Publisher
from cli.stopping import stop_event

from .progress import Progress
from .replay import Plan, Replay
from .retrying import RetryingPublisher
from .series import InputError, read

TIME = click.DateTime(["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"])


class Factor(click.ParamType[float]):
    """A number from 0.001 to 1,000,000, or "max", which becomes 0."""

    name = "factor"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parse a value."""
        try:
            factor = 0.0 if value == "max" else float(value)
        except ValueError:
            factor = -1.0
        if not (0.001 <= factor <= 1e6 or value == "max"):  # also refuses NaN
            self.fail(f"{value!r}; allowed: a number from 0.001 to 1000000, or max", param, ctx)
        return factor


class MinutesType(click.ParamType[tuple[int, ...]]):
    """Distinct whole numbers, separated by commas."""

    name = "minutes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Parse a value."""
        if isinstance(value, tuple):
            return value
        try:
            minutes = tuple(int(part) for part in value.split(","))
        except ValueError:
            minutes = ()
        if not minutes or len(set(minutes)) < len(minutes):
            self.fail(f"{value!r}; allowed: distinct whole numbers of minutes, such as 5,10,15", param, ctx)
        return minutes


@click.command(short_help="Publish recorded speeds with forecasts.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--sensors", required=True, type=click.Path(path_type=Path), help="CSV file with the sensors' locations.")
@click.option("--start", type=TIME, metavar="TIME", help="Time of the first row. Default: the time in the file.")
@click.option("--zone", default="America/Los_Angeles", show_default=True, help="Time zone of all times.")
@click.option(
    "--step",
    type=click.IntRange(1, DAY_SECONDS),
    help="Seconds between two rows, a divisor of a day. Default: from the times in the file, else 300.",
)
@click.option(
    "--speed",
    type=Factor(),
    default="60",
    show_default=True,
    help="Speed-up, from 0.001 to 1000000 times real time; max: no pauses.",
)
@click.option("--missing", type=float, metavar="SPEED", help="Value that marks a missing speed, such as 0 in METR-LA.")
@click.option("--from", "begin", type=TIME, metavar="TIME", help="First time to replay. Default: --start.")
@click.option("--until", type=TIME, metavar="TIME", help="End of the replay, exclusive.")
@click.option("--limit", type=COUNT, help="Maximum number of steps.")
@click.option(
    "--horizons",
    type=MinutesType(),
    default="5,10,15",
    show_default=True,
    help="Forecast horizons in minutes, whole steps each.",
)
@click.option(
    "--fit",
    type=click.Choice(["others", "before"]),
    default="others",
    show_default=True,
    help="Days that the forecast of a day is fitted on: all other days, or those before it.",
)
@flask.cli.with_appcontext
def replay(**options: Any) -> None:
    """Publish recorded speeds with forecasts.

    FILE is a CSV file in mph with a row per step and a column per sensor. METR-LA and PEMS-BAY are read as published:
    the first column may hold times, and an empty cell or NaN is a missing speed. A TIME is 2012-03-01,
    2012-03-01T06:30 or 2012-03-01T06:30:00, in the time zone of --zone. During an outage of Kafka the replay waits. At
    the end the errors of the forecasts are printed.
    """
    settings = app_settings()
    with readable_errors(InputError):
        plan = _plan(options)
        running = Replay(plan, settings)
        with RetryingPublisher(
            lambda: Publisher(settings), _warn, consequence="the replay waits", must_connect=True
        ) as sender:
            _run(running, plan, sender)
    _print_scores(running, plan)


def _plan(options: dict[str, Any]) -> Plan:
    """Read the files and select the rows to replay. Raises InputError."""
    zone = options["zone"]
    if zone not in available_timezones():
        raise InputError(f"--zone {zone}: allowed: a name such as America/Los_Angeles")
    click.echo(f"reading {options['file']}", err=True)
    recording = read(options["file"], options["sensors"], options["missing"])
    start, step = options["start"] or recording.start, options["step"] or recording.step_seconds or 300
    if start is None:
        raise InputError(f"{options['file']} has no column of times; give the time of its first row with --start")
    zero = start.replace(tzinfo=ZoneInfo(zone))
    first = _row(options["begin"], zero, step) if options["begin"] else 0
    end = min(recording.rows, _row(options["until"], zero, step)) if options["until"] else recording.rows
    if options["limit"]:
        end = min(end, first + options["limit"])
    return Plan(recording, zero, step, options["horizons"], first, end, options["speed"] or None, options["fit"])


def _row(at: datetime, zero: datetime, step: int) -> int:
    """Return the first row at a time or later."""
    return -int((zero.timestamp() - at.replace(tzinfo=zero.tzinfo).timestamp()) // step)


def _warn(text: str) -> None:
    click.echo(text, err=True)


def _run(running: Replay, plan: Plan, sender: RetryingPublisher) -> None:
    steps = plan.end - plan.first
    progress = Progress(steps)

    def show(done: int, sent: int) -> None:
        progress.show(f"{plan.time_of(plan.first + done - 1):%Y-%m-%d %H:%M}  step {done:,}/{steps:,}", done, sent)

    def on_fit(done: int, total: int) -> None:
        progress.show(f"fitting the forecast: day {done + 1} of {total}", 0, running.sent)

    click.echo(f"{len(plan.recording.sensors)} sensors, {steps:,} steps; fitting the forecast", err=True)
    with stop_event() as stop:
        running.run(sender, stop, show, on_fit)
    progress.end()


def _print_scores(running: Replay, plan: Plan) -> None:
    """Print the errors of the forecast beside those of persistence."""
    scores = running.scores()
    click.echo(f"{running.sent:,} messages published")
    if not scores:
        return
    fitted_on = "all other days" if plan.fit == "others" else "the days before it"
    click.echo(f"Errors in mph; the forecast of a day is fitted on {fitted_on}:")
    click.echo("horizon    RMSE    MAE   persistence: RMSE    MAE   forecasts")
    for each in scores:
        click.echo(
            f"{each.horizon_minutes:3} min {each.rmse:6.2f} {each.mae:6.2f}  {each.persistence_rmse:18.2f} "
            f"{each.persistence_mae:6.2f}  {each.forecasts:10,}"
        )
    if running.unfitted_steps:
        click.echo(f"{running.unfitted_steps:,} steps without a day to fit on: their forecast is the current speed.")
