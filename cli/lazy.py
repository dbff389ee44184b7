"""A command group that imports a command when it is run, so that the server does not load what only commands need."""

from collections.abc import Mapping
from importlib import import_module
from typing import cast

import click
from flask.cli import AppGroup


class LazyCommands(AppGroup):
    """A group of Flask commands, given as `{name: "module:function"}`."""

    def __init__(self, name: str, locations: Mapping[str, str]) -> None:
        super().__init__(name)
        self._locations = locations

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, without importing any."""
        return sorted({*super().list_commands(ctx), *self._locations})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command and return it; None for an unknown name."""
        if cmd_name not in self._locations:
            return super().get_command(ctx, cmd_name)
        module, _, function = self._locations[cmd_name].partition(":")
        return cast(click.Command, getattr(import_module(module), function))
