"""What the source of confluent-kafka is made of: options of librdkafka, a topic's metadata, signs of life of leaders.

librdkafka is the C library in the package confluent-kafka. Only its public interface is used here. It must not know the
source that it is for, predictions or the feed. It does not know kafka-python either, except in `damage`, which
reads what librdkafka can't unpack.
"""
