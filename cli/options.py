"""What commands share: the settings of the application, readable errors, and types of options."""

import contextlib
import logging
import math
from collections.abc import Iterator
from typing import Any, cast

import click
import flask

from consumer.errors import GreenwaveError
from consumer.settings import Settings

DAY_SECONDS = 86_400
COUNT = click.IntRange(1, 1_000_000_000)


def app_settings() -> Settings:
    """Return the settings of the application."""
    # Commands report each error once; the Kafka client would repeat it.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    return cast(Settings, flask.current_app.config["GREENWAVE_SETTINGS"])


class WrongInput(click.ClickException):
    """An input that can't be used: exit code 2, as for a wrong option."""

    exit_code = 2


@contextlib.contextmanager
def readable_errors(*wrong_input: type[Exception]) -> Iterator[None]:
    """Turn expected errors into one line and an exit code: 2 for `wrong_input`, 1 for the rest."""
    try:
        yield
    except wrong_input as error:
        raise WrongInput(str(error)) from error
    except GreenwaveError as error:
        raise click.ClickException(str(error)) from error


class Seconds(click.FloatRange):
    """A number of seconds from `min` to one day. Other than click's own range it refuses NaN."""

    name = "seconds"

    def __init__(self, min: float) -> None:
        super().__init__(min, DAY_SECONDS)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parse a value."""
        seconds = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value!r}; allowed: a number from {self.min:g} to {self.max:g}", param, ctx)
        return seconds
