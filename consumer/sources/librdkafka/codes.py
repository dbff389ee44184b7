"""Error codes of librdkafka that have a meaning here. Its own, not of a broker, have names with an underscore."""

from confluent_kafka import KafkaError

PARTITION_END = KafkaError._PARTITION_EOF  # noqa: SLF001
"""Not an error: all of a partition was read."""
LOST_POSITION = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError._LOG_TRUNCATION})  # noqa: SLF001
"""The next offset is not in the log, or the log differs before it; the text says which."""
NO_BROKERS = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001
"""No broker is connected."""
DAMAGED = frozenset(
    {
        KafkaError._BAD_MSG,  # noqa: SLF001
        KafkaError._BAD_COMPRESSION,  # noqa: SLF001
        KafkaError._NOT_IMPLEMENTED,  # noqa: SLF001
    }
)
"""The batch that begins at the offset can't be read. librdkafka goes on behind it, or is stuck there."""
NO_TOPIC = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.UNKNOWN_TOPIC_ID,
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
    }
)
"""The topic was deleted; it may have been created again."""
