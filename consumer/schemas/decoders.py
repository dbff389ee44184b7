"""Make the decoder of a schema.

The libraries are loaded when a schema needs them: they take memory.
"""

from consumer.parsing.decode import decode

from .schema import DecodePayload, SchemaText


def make_decoder(schema: SchemaText) -> DecodePayload:
    """Return the decoder of a schema. Raises ValueError for one that can't be used, with the reason."""
    if schema.kind == "JSON":
        return lambda data, at: decode(data[at:])
    if schema.kind == "AVRO":
        from .avro import avro_decoder

        return avro_decoder(schema)
    from .protobuf import protobuf_decoder

    return protobuf_decoder(schema)
