"""An app over a topic in memory, and a server for it."""

import contextlib

import pytest
from msgspec import structs
from werkzeug.routing import Rule

from app import App, create_app
from consumer import Consumer
from consumer.settings import Settings
from consumer.sources.memory import MemorySource, MemoryTopic
from tests.templates import TEMPLATES
from tests.web import paths
from tests.web.paths import Connection, Stream, client_of, serving

SETTINGS = Settings(kafka_backlog="all", web_threads=8)
SHORT_SILENCE = structs.replace(SETTINGS, kafka_silence_seconds=2.0)
"""For tests of outages alone: a thread that gets no CPU for so long counts as an outage, too."""
SHORT_HEARTBEAT = structs.replace(SETTINGS, heartbeat_seconds=1.0)
"""For tests of heartbeats and pings alone: a WebSocket client has so long to answer a ping."""


def waits(settings):
    """Parametrize by settings of a timeout that the test waits for: an outage or a heartbeat. It is `slow`."""
    return pytest.mark.parametrize("settings", [pytest.param(settings, marks=pytest.mark.slow)])


_compile, _compiled = Rule._compile_builder, {}


def _compile_once(rule, append_unknown=True):
    """Compile a rule as Werkzeug does, but once for all apps: it takes 12 of the 15 ms in which an app is made."""
    key = (rule.rule, tuple(rule._trace), repr(rule.defaults), append_unknown)
    if key not in _compiled:
        _compiled[key] = _compile(rule, append_unknown)
    return _compiled[key]


Rule._compile_builder = _compile_once
App.jinja_options = {"bytecode_cache": TEMPLATES}


@pytest.fixture
def settings():
    return SETTINGS


@pytest.fixture
def topic():
    return MemoryTopic()


@pytest.fixture
def consumer(topic, settings):
    consumer = Consumer(settings, lambda _: MemorySource(topic), poll_seconds=0.005)
    consumer.start()
    yield consumer
    consumer.stop()


@pytest.fixture
def app(consumer, settings):
    app = create_app(settings, lambda: consumer)
    yield app
    app.extensions["greenwave"].admission.close()
    consumer.feed.wake()


@pytest.fixture
def client(app):
    return app.test_client()


@pytest.fixture
def live(consumer):
    """The consumer, once it is live."""
    consumer.wait_ready(30)
    return consumer


@pytest.fixture(params=paths.DELIVERIES)
def delivery(request):
    """The path of a stream from the hub to its client: tests with this fixture run on each."""
    return request.param


@pytest.fixture
def tls(delivery):
    """Whether gunicorn, for `Server(tls=tls)`, keeps the sockets of its clients."""
    return delivery == paths.COPIED


@pytest.fixture
def server(app, delivery, integration):
    """The app on a loopback port; returns its base URL."""
    with serving(app, delivery) as url:
        yield url


@pytest.fixture
def stream(app, delivery):
    """Open SSE streams; they are closed at the end."""
    client = client_of(app, delivery)
    with contextlib.ExitStack() as stack:

        def open_stream(query="", **headers):
            response = client.get(f"/predictions/stream{query}", headers=headers)
            assert response.status_code == 200
            return stack.enter_context(contextlib.closing(Stream(response)))

        yield open_stream


@pytest.fixture
def connect(server):
    """Open WebSockets; they are closed at the end."""
    with contextlib.ExitStack() as stack:

        def connect(query="", **options):
            connection = Connection(f"{server.replace('http', 'ws')}/predictions/ws{query}", **options)
            stack.callback(connection.close)
            return connection

        yield connect


@pytest.fixture
def put(topic, live):
    """Append a message and wait until the consumer has read it; returns the record."""

    def put(value, partition=0, key=None):
        record = topic.append(value, partition=partition, key=key)
        after = record.offset + 1 << 24
        with live.feed._state.changed:
            assert live.feed._state.changed.wait_for(lambda: live.feed._state.places[partition] >= after, 60)
        return record

    return put


def hold_slot(admission, transport="sse", abort=None):
    """Acquire a slot of the thread pool and return it; None if none is free."""
    slot = admission.slot()
    return slot if slot.acquire(transport, abort) else None
