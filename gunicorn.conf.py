"""Configuration of gunicorn, which reads this file by default: `gunicorn wsgi:app` is enough."""

import math
import os
import sys

import consumer
from consumer import SettingsError, load
from consumer.messages.files import check_files
from consumer.resume.readers import MAX_HANGING
from consumer.runtime.ending import EXIT_STATUS
from web.access import forwarded
from web.access.exposure import check_access, check_listeners, warnings_of
from web.access.tickets import shared
from web.limits import early
from web.logs import formatter
from web.server.arenas import limit_arenas
from web.server.descriptors import Descriptors
from web.server.heads import MAX_HEAD_BYTES

MAX_LINE_BYTES = 8_190

limit_arenas()
shared()  # for all workers, before they are forked

try:
    _settings = load(os.environ)
    check_files(_settings)  # certificates that can't be read are wrong settings, too
    check_access(_settings)
except SettingsError as error:
    sys.exit(f"greenwave: {error}")

_host = _settings.address.strip("[]")
bind = [f"[{_host}]:{_settings.port}" if ":" in _host else f"{_host}:{_settings.port}"]
if _settings.admin_bind:
    bind.append(_settings.admin_bind)
workers = _settings.web_concurrency
worker_class = "web.server.worker.Worker"
threads = _settings.web_threads
# The consumer has one Kafka client, each replay another one, and so have shared acknowledgements.
_kafka_clients = 1 + bool(_settings.acknowledgements_topic) + _settings.replay_readers + MAX_HANGING
_descriptors = Descriptors(_settings.web_threads, _settings.max_streams, _kafka_clients)
_descriptors.raise_limit()
worker_connections = _descriptors.connections
keepalive = 20
# For requests that are still running when streams have ended, which takes DRAIN_SECONDS and one more. Many hosts kill a
# process 30 s after SIGTERM.
REQUEST_SECONDS = 20
graceful_timeout = REQUEST_SECONDS + math.ceil(_settings.drain_seconds)  # of the master, which begins at SIGTERM
# The accept loop sends the heartbeat and never blocks: a worker without one for this long is stuck.
timeout = 30
# The control socket fails in read-only containers and is not used.
control_socket_disable = True
# A proxy may forward SCRIPT_NAME headers of clients, so trusting them must be enabled on the command line.
forwarder_headers = ""
# gunicorn answers 400 when several of these headers disagree; forwarded.apply() reads the one that all proxies send.
secure_scheme_headers = {}
# A cursor of 1,000 partitions and a filter of 200 segments fit. Without TLS, the worker limits the whole head.
limit_request_line = 0
limit_request_field_size = MAX_HEAD_BYTES
# It would bypass the send buffers of the worker's sockets.
sendfile = False
logger_class = "web.server.access_log.AccessLog"
accesslog = None
access_log_format = '%(h)s "%(r)s" %(s)s %(B)s bytes %(L)s s "%(f)s" "%(a)s" %({greenwave.request_id}e)s'

logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"generic": {"()": lambda: formatter(_settings)}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "generic"}},
    "root": {"level": _settings.log_level, "handlers": []},
    "loggers": {
        "gunicorn.error": {"level": _settings.log_level, "handlers": ["console"], "propagate": False},
        "gunicorn.access": {
            "level": "INFO" if _settings.access_log or _settings.log_level == "DEBUG" else "WARNING",
            "handlers": ["console"],
            "propagate": False,
        },
    },
}


def has_hung():  # type: ignore[no-untyped-def]
    """Tell whether the consumer hangs, so that clients must continue elsewhere at once."""
    current = consumer.current()
    return current is not None and current.has_hung


def on_starting(server):  # type: ignore[no-untyped-def]
    """Check --bind, and log warnings at start: the limit of open files is low, or others may read without a token."""
    try:
        check_listeners(_settings, server.cfg.address)
    except SettingsError as error:
        sys.exit(f"greenwave: {error}")
    for warning in filter(None, (_descriptors.warning, *warnings_of(_settings))):
        server.log.warning(warning)


def post_fork(server, worker):  # type: ignore[no-untyped-def]
    """Let a worker find the signals that come before it has handlers of its own: a SIGTERM would be lost."""
    worker.early_signals = server.SIG_QUEUE


def pre_request(worker, req):  # type: ignore[no-untyped-def]
    """Apply the headers of a trusted proxy."""
    forwarded.apply(req, worker.cfg)


def post_worker_init(worker):  # type: ignore[no-untyped-def]
    """Start the consumer in each worker: threads do not survive the fork of --preload."""
    if worker.cfg.is_ssl:
        # With TLS nothing else limits the request line.
        worker.cfg.set("limit_request_line", MAX_LINE_BYTES)
        worker.cfg.set("limit_request_field_size", MAX_LINE_BYTES)
    # That of the worker begins after the drain.
    worker.cfg.set("graceful_timeout", max(1, worker.cfg.graceful_timeout - math.ceil(_settings.drain_seconds)))
    worker.configure(_settings.script_name, _settings.unsent_bytes, early.of(worker.wsgi))
    worker.allow_drain(_settings.drain_seconds, must_not=has_hung)
    consumer.start(timeout=0, settings=_settings)


def worker_exit(server, worker):  # type: ignore[no-untyped-def]
    """Stop the consumer with its worker; a Kafka call that takes longer ends with the process."""
    is_hung = has_hung()
    consumer.stop(timeout=1)
    if is_hung:
        sys.exit(EXIT_STATUS)
