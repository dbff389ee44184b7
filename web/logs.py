"""Logging: one line format for the product and for gunicorn, in which secrets are masked."""

import logging
import sys
from collections.abc import Iterable

from consumer import Settings
from consumer.secrets import mask, secrets_of

FORMAT = "%(asctime)s %(levelname)-7s [%(process)d] %(name)s: %(message)s"


class MaskingFormatter(logging.Formatter):
    """Format a record with its traceback, and mask secrets in all of it."""

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__(FORMAT)
        self._secrets = list(secrets)

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record."""
        return mask(super().format(record), self._secrets)


def configure(settings: Settings) -> None:
    """Log to stderr from LOG_LEVEL on.

    The Kafka client logs each failed metadata refresh as an error. The consumer logs an outage once, so the client's
    records are shown at DEBUG only.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(MaskingFormatter(secrets_of(settings)))
    logging.basicConfig(level=settings.log_level, handlers=[handler])
    logging.getLogger("kafka").setLevel(logging.DEBUG if settings.log_level == "DEBUG" else logging.CRITICAL)
