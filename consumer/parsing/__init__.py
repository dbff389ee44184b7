"""Read JSON: bytes to objects, fields by each of their names, and the error that refuses either.

It must not know whole messages, mappings, the Kafka client or the feed.
"""
