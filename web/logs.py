"""Logging: one line format for the product and for gunicorn."""

import logging
import sys

FORMAT = "%(asctime)s %(levelname)-7s [%(process)d] %(name)s: %(message)s"


def configure(level: str) -> None:
    """Log to stderr from `level` on.

    The Kafka client reports each failed metadata refresh as an error of its own; the consumer says the same in words
    of its own and once, so the client is heard at DEBUG only.
    """
    logging.basicConfig(level=level, format=FORMAT, stream=sys.stderr)
    logging.getLogger("kafka").setLevel(logging.DEBUG if level == "DEBUG" else logging.CRITICAL)
