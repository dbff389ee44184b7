"""Logging: one format for the product and for gunicorn, as lines of text or of JSON, in which secrets are masked.

The JSON formatter is own code: it has to mask secrets in values before they are encoded, so a library would add an
encoder only, and msgspec is there already.
"""

import logging
import re
import sys
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any

from consumer import Settings
from consumer.secrets import MASK, mask, secrets_of

from . import wire
from .times import iso

CREDENTIAL = re.compile(r"\bgwt?_[A-Za-z0-9_-]{16,}|\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]+){2}")
"""Tokens, tickets and JSON Web Tokens: a client may put one where it is logged, such as into a URL."""
FORMAT = "%(asctime)s %(levelname)-7s [%(process)d] %(name)s: %(message)s"

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request that the current thread handles, see `web.request_ids`."""
ENVIRON = "greenwave.request_id"
"""The key of the WSGI environment that holds the same, for the access log."""


def _masked(text: str, secrets: Iterable[str]) -> str:
    """Return a text without secrets of the settings, and without credentials of clients."""
    return CREDENTIAL.sub(MASK, mask(text, secrets))


class MaskingFormatter(logging.Formatter):
    """Format a record with its traceback, and mask secrets in all of it."""

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__(FORMAT)
        self._secrets = list(secrets)

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record."""
        return _masked(super().format(record), self._secrets)


class JsonFormatter(logging.Formatter):
    """Format a record as one line of JSON. Each text is masked before it is encoded, which could change a secret."""

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__()
        self._secrets = list(secrets)

    def format(self, record: logging.LogRecord) -> str:
        """Return a line: time, level, logger, process, message, and where there are, the request, fields, exception."""
        line: dict[str, Any] = {
            "time": iso(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
        }
        if current := request_id.get():
            line["request_id"] = current
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = record.stack_info
        shown = {name: _masked(each, self._secrets) if isinstance(each, str) else each for name, each in line.items()}
        return wire.json_bytes(shown).decode()


def formatter(settings: Settings) -> logging.Formatter:
    """Return the formatter of LOG_FORMAT."""
    kind = JsonFormatter if settings.log_format == "json" else MaskingFormatter
    return kind(secrets_of(settings))


def configure(settings: Settings) -> None:
    """Log to stderr from LOG_LEVEL on.

    The Kafka client logs each failed metadata refresh as an error. The consumer logs an outage once, so the client's
    records are shown at DEBUG only.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(settings))
    logging.basicConfig(level=settings.log_level, handlers=[handler])
    logging.getLogger("kafka").setLevel(logging.DEBUG if settings.log_level == "DEBUG" else logging.CRITICAL)
