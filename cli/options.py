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
def explained(*wrong_input: type[Exception]) -> Iterator[None]:
    """Turn expected errors into one line and an exit code: 2 for `wrong_input`, 1 for the rest."""
    try:
        yield
    except wrong_input as error:
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
