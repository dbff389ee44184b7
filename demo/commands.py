"""The commands of `flask --app app`: test events, feeds and the doctor."""

import flask


def register(app: flask.Flask) -> None:
    """Add the commands to the application."""
