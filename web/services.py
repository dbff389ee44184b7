"""What the routes of one app share: an object kept at `app.extensions["greenwave"]`."""

from collections.abc import Callable
from typing import cast

from flask import current_app

from consumer import Consumer, Settings
from web.access.admission import Admission
from web.streams.messages import MessageCache
from web.streams.views import Views

EXTENSION = "greenwave"


class Services:
    """The settings, the consumer, the slots, and what is encoded once for all clients."""

    def __init__(self, settings: Settings, get_consumer: Callable[[], Consumer]) -> None:
        self.settings = settings
        self.admission = Admission(
            settings.web_threads, client_timeout=settings.client_timeout, max_streams=settings.max_streams
        )
        self.views = Views(settings.answer_bytes)
        self.messages = MessageCache(settings.message_bytes, settings.buffer_entries)
        self._get_consumer = get_consumer
        self._known: Consumer | None = None

    def get_consumer(self) -> Consumer:
        """Return the consumer; the first call starts it. Never waits."""
        consumer = self._get_consumer()
        if consumer is not self._known:  # the cache is keyed by the entries of one feed
            self.messages = MessageCache(self.settings.message_bytes, self.settings.buffer_entries)
            self._known = consumer
            self.admission.on_close(consumer.subscriptions.close)
        return consumer


def services() -> Services:
    """Return the services of the current request's app."""
    return cast(Services, current_app.extensions[EXTENSION])
