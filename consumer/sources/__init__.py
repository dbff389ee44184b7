"""Read records from Kafka, or from memory, under one contract (`base.Source`).

It owns the Kafka client, its security options and the hooks into its fetcher. It must not know predictions, the feed or
the readers of a source. Importing it does not load the Kafka client; `open_kafka` does.
"""

from consumer.settings import Settings

from .base import Source


def open_kafka(settings: Settings) -> Source:
    """Return a source that reads the topic of the settings. Raises SourceError."""
    from .kafka import KafkaSource  # late, since it loads the Kafka client

    return KafkaSource(settings)
