"""The Flask application: joins the consumer and the web side. Importing this module starts nothing."""

import os
from collections.abc import Callable

import click
from flask import Flask

import consumer
from cli.commands import create_topic_command, doctor, send_test_events
from consumer import Consumer, Settings, SettingsError, load
from demo.feed_command import synthetic_feed
from demo.replay_command import replay
from web import errors
from web.access import paths
from web.api import health, history, metrics, polling
from web.page import assets, pages
from web.services import EXTENSION, Services
from web.streams import sse, websocket


def create_app(settings: Settings | None = None, get_consumer: Callable[[], Consumer] | None = None) -> Flask:
    """Return the app; settings come from the environment unless they are given.

    `get_consumer` returns the consumer to serve, without ever waiting; unless given, it is this process' own, which
    the first request starts. Raises SettingsError for settings that can't be used.
    """
    chosen = settings or _settings()
    app = Flask(__name__)
    app.config["GREENWAVE_SETTINGS"] = chosen
    start = get_consumer or (lambda: consumer.start(timeout=0, settings=chosen))
    app.extensions[EXTENSION] = Services(chosen, start)
    for blueprint in (
        pages.blueprint,
        polling.blueprint,
        history.blueprint,
        sse.blueprint,
        health.blueprint,
        metrics.blueprint,
    ):
        app.register_blueprint(blueprint)
    websocket.register(app)
    paths.register(app)
    errors.register(app)
    pages.secure(app)
    assets.compress(app)
    for command in (doctor, create_topic_command, send_test_events, synthetic_feed, replay):
        app.cli.add_command(command)
    return app


def _settings() -> Settings:
    """Read the environment; on the command line a wrong setting is one line, not a traceback."""
    try:
        return load(os.environ)
    except SettingsError as error:
        if click.get_current_context(silent=True):
            raise click.ClickException(str(error)) from error
        raise
