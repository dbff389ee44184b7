"""Read records from Kafka, or from memory, under one contract (`base.Source`).

It owns the Kafka clients, their security options and the hooks into kafka-python's fetcher. It must not know
predictions, the feed or the readers of a source. Importing it loads no Kafka client; `kafka_source` does.
"""

from collections.abc import Callable

from consumer.settings import Settings

from .base import Source


def kafka_source(settings: Settings) -> Callable[[Settings], Source]:
    """Load the Kafka client that KAFKA_CLIENT names, and return what opens its sources."""
    if settings.kafka_client == "confluent":
        from .confluent import ConfluentSource

        return ConfluentSource
    from .kafka import KafkaSource

    return KafkaSource


def open_kafka(settings: Settings) -> Source:
    """Return a source that reads the topic of the settings. Raises SourceError."""
    return kafka_source(settings)(settings)
