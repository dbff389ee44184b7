"""Open what wraps a message, and map its content to the fields that `consumer.messages` reads.

`opening` is the entry point: from a record to items. It opens envelopes (Debezium, Kafka Connect, CloudEvents, lines of
JSON, gzip) and applies the shapes of MAPPING_FILE, which `file` reads and compiles once. It must not know the Kafka
client, threads, the feed, or which values are accepted: a mapped item is validated like any other.
"""
