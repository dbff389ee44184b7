"""Find the principal of each request, before anything else of it is handled."""

from flask import Flask, g

from .principal import ANYONE


def register(app: Flask) -> None:
    """Give each request its principal. To be registered before what may refuse a request for other reasons."""
    app.before_request(_begin)


def _begin() -> None:
    g.principal = ANYONE
