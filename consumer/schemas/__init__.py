"""Decode keys and values that refer to a schema registry: Avro, Protobuf and JSON Schema in Confluent's wire format.

`registry` is the entry point: it fetches schemas by their id, on a thread of its own, and keeps their decoders. A
decoder gives plain JSON values, so everything after it is the same as for JSON. It must not know the Kafka client, the
feed, or which fields a prediction has.
"""
