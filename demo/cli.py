"""What the commands share: their settings, errors as exit codes, and types of options."""

import contextlib
import logging
import math
from collections.abc import Iterator
from typing import Any, cast

import click
import flask

from consumer.errors import GreenwaveError
from consumer.settings import Settings

from .publish import PublishError
from .series import InputError

TIME = click.DateTime(["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"])
DAY_SECONDS = 86_400
MANY = click.IntRange(1, 1_000_000_000)


def settings() -> Settings:
    """Return the application's settings."""
    # What goes wrong is said by the commands, once; the client would say it again and again.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    return cast(Settings, flask.current_app.config["GREENWAVE_SETTINGS"])


class WrongInput(click.ClickException):
    """An input that can't be used: exit code 2, as for a wrong option."""

    exit_code = 2


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Turn expected errors into one line and an exit code: 2 for wrong input, 1 for the rest."""
    try:
        yield
    except InputError as error:
        raise WrongInput(str(error)) from error
    except (PublishError, GreenwaveError) as error:
        raise click.ClickException(str(error)) from error


class Seconds(click.FloatRange):
    """A number of seconds from `min` to 86,400, a day; not NaN, which every range of click lets through."""

    name = "seconds"

    def __init__(self, min: float) -> None:
        super().__init__(min, DAY_SECONDS)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it."""
        seconds = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value!r}; allowed: a number from {self.min:g} to {self.max:g}", param, ctx)
        return seconds


class Factor(click.ParamType[float]):
    """A number from 0.001 to 1,000,000, or "max", which is 0."""

    name = "factor"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it."""
        try:
            factor = 0.0 if value == "max" else float(value)
        except ValueError:
            factor = -1.0
        if not (0.001 <= factor <= 1e6 or value == "max"):  # below that no clock can wait for a step; also NaN
            self.fail(f"{value!r}; allowed: a number from 0.001 to 1000000, or max", param, ctx)
        return factor


class Minutes(click.ParamType[tuple[int, ...]]):
    """A comma list of different whole numbers."""

    name = "minutes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Read it."""
        if isinstance(value, tuple):
            return value
        try:
            minutes = tuple(int(part) for part in value.split(","))
        except ValueError:
            minutes = ()
        if not minutes or len(set(minutes)) < len(minutes):
            self.fail(f"{value!r}; allowed: different whole numbers of minutes, such as 5,10,15", param, ctx)
        return minutes
