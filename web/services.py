"""What the routes share: one object per app, kept at `app.extensions["greenwave"]`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from flask import current_app

from consumer import Consumer, Settings

from .admission import Admission
from .views import Views

EXTENSION = "greenwave"


@dataclass(frozen=True)
class Services:
    """Settings, the way to the consumer (which starts it if need be and never waits), thread budget, shared views."""

    settings: Settings
    get_consumer: Callable[[], Consumer]
    admission: Admission
    views: Views


def services() -> Services:
    """Return the services of the app that handles the current request."""
    return cast(Services, current_app.extensions[EXTENSION])
