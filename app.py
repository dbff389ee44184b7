"""The Flask application: connects the consumer and the web side. Importing this module starts nothing."""

import os
from collections.abc import Callable
from typing import Any

import click
from flask import Flask

import consumer
from cli.lazy import LazyCommands
from consumer import Consumer, Settings, SettingsError, load
from web import errors, request_ids
from web.access import paths
from web.access.cors import Cors
from web.access.guard import Guard
from web.access.origins import AllowedOrigins
from web.api import acknowledgements, clients, health, history, metrics, polling, scores, sse, tickets, usual, websocket
from web.api import publishing as publish
from web.documents import routes as documents
from web.limits.addresses import ClientAddresses
from web.limits.early import EarlyRefusals
from web.limits.limiter import Limiter
from web.page import assets, pages, quarantine, sign_in, texts
from web.services import EXTENSION, Services

COMMANDS = {
    "check-mapping": "cli.mapping:check_mapping",
    "create-topic": "cli.commands:create_topic_command",
    "doctor": "cli.commands:doctor",
    "send-test-events": "cli.commands:send_test_events",
    "version": "cli.commands:version",
    "synthetic-feed": "demo.feed_command:synthetic_feed",
    "inspect": "cli.mapping:inspect",
    "make-token": "web.access.commands:make_token_command",
    "replay": "demo.replay_command:replay",
}
"""The commands of `flask --app app`. They are imported when they run, so the server does not load them."""


class App(Flask):
    """A Flask application without coroutines."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function as it is: asking whether each one is a coroutine takes 8 % of a request."""
        return func


def create_app(settings: Settings | None = None, get_consumer: Callable[[], Consumer] | None = None) -> Flask:
    """Return the app. Without `settings`, they are read from the environment.

    `get_consumer` returns the consumer to serve, and must not wait. Without it, the app serves the consumer of this
    process, which the first request starts. Raises SettingsError for settings that can't be used.
    """
    chosen = settings or _settings()
    app = App(__name__)
    app.cli = LazyCommands(app.name, COMMANDS)
    app.config["GREENWAVE_SETTINGS"] = chosen
    start = get_consumer or (lambda: consumer.start(timeout=0, settings=chosen))
    here = app.extensions[EXTENSION] = Services(chosen, start)
    app.wsgi_app = ClientAddresses(app.wsgi_app, chosen.trusted_proxies)  # type: ignore[method-assign]
    request_ids.register(app)
    allowed = AllowedOrigins(chosen.allowed_origins)
    limiter = Limiter(chosen, here.admission.shares)
    limiter.register(app, Guard(here.authentication, chosen, allowed))
    EarlyRefusals(app, limiter, chosen.script_name).register()
    Cors(allowed).register(app)
    for blueprint in (
        pages.blueprint,
        sign_in.blueprint,
        polling.blueprint,
        history.blueprint,
        tickets.blueprint,
        usual.blueprint,
        scores.blueprint,
        acknowledgements.blueprint,
        publish.blueprint,
        sse.blueprint,
        health.blueprint,
        quarantine.blueprint,
        metrics.blueprint,
        documents.blueprint,
        clients.blueprint,
    ):
        app.register_blueprint(blueprint)
    websocket.register(app)
    paths.register(app)
    errors.register(app)
    pages.secure(app)
    texts.register(app)
    assets.compress(app)
    return app


def _settings() -> Settings:
    """Read the settings. On the command line, a wrong setting is reported in one line, without a traceback."""
    try:
        return load(os.environ)
    except SettingsError as error:
        if click.get_current_context(silent=True):
            raise click.ClickException(str(error)) from error
        raise
