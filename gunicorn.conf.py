"""How Greenwave is served. gunicorn finds this file by itself: `gunicorn wsgi:app` is enough."""

import os
import sys

import consumer
from consumer import SettingsError, load
from consumer.files import check_files
from consumer.replay import MAX_HANGING
from web.arenas import limit_arenas
from web.descriptors import Descriptors
from web.logs import FORMAT

limit_arenas()

try:
    _settings = load(os.environ)
    check_files(_settings)  # certificates that can't be read are wrong settings, too
except SettingsError as error:
    sys.exit(f"greenwave: {error}")

bind = f"{_settings.bind}:{_settings.port}"
workers = _settings.web_concurrency
worker_class = "web.worker.Worker"
threads = _settings.web_threads
# The consumer has one Kafka client, each replay another one.
_descriptors = Descriptors(_settings.web_threads, kafka_clients=1 + _settings.replay_readers + MAX_HANGING)
worker_connections = _descriptors.connections
keepalive = 20
# Streams leave within a second; this is for requests that are still running. Hosts kill after 30 s.
graceful_timeout = 20
# The heartbeat comes from the accept loop, which never waits: a worker that is silent for so long is stuck.
timeout = 30
# The control socket breaks read-only containers, and nothing here needs it.
control_socket_disable = True
# Proxies are in front of hosts, not of paths: a SCRIPT_NAME in a request of theirs is a client's, and would be a 500.
forwarder_headers = ""
# It would go around what our sockets do for clients that read slowly.
sendfile = False
accesslog = None
access_log_format = '%(h)s "%(r)s" %(s)s %(B)s bytes %(L)s s "%(f)s" "%(a)s"'

logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"generic": {"format": FORMAT}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "generic"}},
    "root": {"level": _settings.log_level, "handlers": []},
    "loggers": {
        "gunicorn.error": {"level": _settings.log_level, "handlers": ["console"], "propagate": False},
        "gunicorn.access": {
            "level": "DEBUG" if _settings.log_level == "DEBUG" else "WARNING",
            "handlers": ["console"],
            "propagate": False,
        },
    },
}


def on_starting(server):  # type: ignore[no-untyped-def]
    """Warn before the first worker starts when connections are few."""
    if _descriptors.warning:
        server.log.warning(_descriptors.warning)


def post_worker_init(worker):  # type: ignore[no-untyped-def]
    """Start the consumer in each worker: threads don't survive the fork of --preload."""
    consumer.start(timeout=0, settings=_settings)


def worker_exit(server, worker):  # type: ignore[no-untyped-def]
    """End the consumer with its worker; a call to Kafka that takes longer ends with the process."""
    consumer.stop(timeout=1)
