"""What the routes of one app share: an object kept at `app.extensions["greenwave"]`."""

import threading
from collections.abc import Callable
from typing import cast

from flask import current_app

from consumer import Consumer, Settings
from consumer.view.filters import Filter
from web.access.admission import Admission
from web.access.authentication import Authentication
from web.access.shares import Shares
from web.acknowledgements.acknowledged import Acknowledgements
from web.acknowledgements.store import AcknowledgementStore
from web.acknowledgements.topic import AcknowledgementTopic
from web.answers.bodies import Bodies
from web.answers.views import SharedBodies, Views
from web.publish.publisher import Producer
from web.publish.repeats import Repeats
from web.streams.hub import Hub
from web.streams.messages import MessageCache
from web.streams.session import StreamSession

EXTENSION = "greenwave"


class Services:
    """The settings, the consumer, who may read, the slots, and what is encoded once for all clients."""

    def __init__(self, settings: Settings, get_consumer: Callable[[], Consumer]) -> None:
        self.settings = settings
        self.authentication = Authentication(settings)
        self.admission = Admission(
            settings.web_threads,
            client_timeout=settings.client_timeout,
            max_streams=settings.max_streams,
            shares=Shares({"streams": settings.client_streams, "replays": settings.client_replays}),
        )
        self.views = Views(settings.answer_bytes)
        self.messages = MessageCache(settings.message_bytes, settings.buffer_entries)
        self.poll_views = SharedBodies()
        self.usual = Bodies()
        self.repeats = Repeats()
        path = settings.acknowledgements_file
        self._acknowledgements: Acknowledgements | None = AcknowledgementStore(path) if path else None
        self._get_consumer = get_consumer
        # Guards what belongs to one consumer while it is made.
        self._lock = threading.Lock()
        self._known: Consumer | None = None
        self._producer: Producer | None = None
        self.hub: Hub

    def get_consumer(self) -> Consumer:
        """Return the consumer; the first call starts it. Never waits for Kafka."""
        consumer = self._get_consumer()
        if consumer is not self._known:
            with self._lock:
                if consumer is not self._known:
                    self._begin(consumer)
        return consumer

    @property
    def acknowledgements(self) -> Acknowledgements | None:
        """What keeps acknowledgements for all who watch; None while they are not shared."""
        if self.settings.acknowledgements_topic:
            self.get_consumer()
        return self._acknowledgements

    @property
    def not_ready(self) -> str | None:
        """Why new clients should choose another process, or None."""
        if self.admission.is_draining:
            return "the process is draining: another one takes over"
        return self.get_consumer().not_ready

    def producer(self) -> Producer:
        """Return what writes to Kafka; the first call makes it. Never waits for Kafka."""
        with self._lock:
            if self._producer is None:
                from consumer.sources.producing import Producing  # it loads the Kafka client

                self._producer = Producing(self.settings)
                self.admission.on_close(self._producer.close)
            return self._producer

    def _begin(self, consumer: Consumer) -> None:
        """Make what belongs to one consumer."""
        self.messages = MessageCache(self.settings.message_bytes, self.settings.buffer_entries)
        self.hub = self._hub_of(consumer)
        self.admission.on_drain(self.hub.drain)
        self.admission.on_close(self.hub.close)
        self.admission.on_close(consumer.subscriptions.close)
        if consumer.acknowledgements is not None:
            self._acknowledgements = AcknowledgementTopic(
                consumer.acknowledgements, self.producer, self.settings.publish_timeout
            )
        self._known = consumer

    def _hub_of(self, consumer: Consumer) -> Hub:
        settings, feed = self.settings, consumer.feed

        def open_session(wanted: Filter, now: float, cursor: str | None) -> StreamSession:
            return StreamSession(
                self.messages, lambda: self.views.stats(feed, wanted), settings.heartbeat_seconds, now, cursor
            )

        return Hub(
            consumer.subscriptions,
            open_session,
            flush_seconds=settings.flush_ms / 1000,
            client_timeout=settings.client_timeout,
            ping_seconds=settings.heartbeat_seconds,
            max_lag_bytes=settings.block_bytes,
            is_valid=self.authentication.is_valid,
        )


def services() -> Services:
    """Return the services of the current request's app."""
    return cast(Services, current_app.extensions[EXTENSION])
