"""What the routes share: one object per app, kept at `app.extensions["greenwave"]`."""

from collections.abc import Callable
from typing import cast

from flask import current_app

from consumer import Consumer, Settings
from web.access.admission import Admission
from web.streams.views import Views

EXTENSION = "greenwave"


class Services:
    """Settings, the way to the consumer, thread budget, views that are shared."""

    def __init__(self, settings: Settings, get_consumer: Callable[[], Consumer]) -> None:
        self.settings = settings
        self.admission = Admission(settings.web_threads, client_timeout=settings.client_timeout)
        self.views = Views(settings.answer_bytes)
        self._get_consumer = get_consumer
        self._known: Consumer | None = None

    def get_consumer(self) -> Consumer:
        """Return the consumer, started if need be, without ever waiting for it."""
        consumer = self._get_consumer()
        if consumer is not self._known:
            self._known = consumer
            self.admission.on_close(consumer.subscriptions.close)
        return consumer


def services() -> Services:
    """Return the services of the app that handles the current request."""
    return cast(Services, current_app.extensions[EXTENSION])
