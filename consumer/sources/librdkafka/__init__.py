"""What the source of confluent-kafka is made of: options of librdkafka, a topic's metadata, signs of life of leaders.

librdkafka is the C library in the package confluent-kafka. Only its public interface is used here.
"""
