"""What each reason for a refusal means, and what to do: the table of docs/messages.md, for the page."""

from typing import NamedTuple

from consumer.messages.refusal import RefusalReason


class Advice(NamedTuple):
    """Two texts, with code between backticks."""

    meaning: str
    todo: str


ADVICE: dict[RefusalReason, Advice] = {
    "unreadable_batch": Advice(
        "Kafka gave a batch of messages that can't be unpacked: compressed by what is not installed here, "
        "damaged, or it unpacks to more than 32 MiB. It was fetched twice; each of its messages counts, "
        "`offset` is that of the last",
        "install all of `requirements.txt`; look at the broker's disk; send smaller batches",
    ),
    "unknown_schema": Advice(
        "the schema registry has no schema of the id that the key or the value names",
        "look at the producer's registry: it must be that of `SCHEMA_REGISTRY_URL`",
    ),
    "unusable_schema": Advice(
        "a schema that can't be compiled, is recursive, too large, or of another kind than Avro, Protobuf and "
        "JSON Schema",
        "register an Avro, Protobuf or JSON Schema that schemas.md allows",
    ),
    "schema_unavailable": Advice(
        "the registry was away for longer than `SCHEMA_REGISTRY_WAIT`, or too many records waited",
        "look at the server's log and `schema_registry` in `/api/health`",
    ),
    "not_decodable": Advice(
        "the bytes after the schema's id do not have that schema",
        "look at the producer's serializer",
    ),
    "too_large": Advice(
        "more than `MAX_MESSAGE_BYTES`",
        "send smaller arrays, or raise the setting",
    ),
    "not_utf8": Advice(
        "the bytes are not UTF-8: another encoding, or compressed twice",
        "encode as UTF-8",
    ),
    "not_json": Advice(
        "no JSON, JSON that ends early or goes on after its end, or nested too deeply. Avro and Protobuf look "
        "like this too",
        "serialise as JSON, or set `SCHEMA_REGISTRY_URL`",
    ),
    "not_an_object": Advice(
        "a number, a text, `null`, or an empty array; in an array: an item that is no object",
        "send an object or an array of objects",
    ),
    "no_segment": Advice(
        "neither `segment_id` nor `sensor_id`, or one that can't be used, such as `NaN`",
        "give an id of 1 to 256 characters, or map a field to it",
    ),
    "no_predicted_speed": Advice(
        "neither a predicted nor a measured speed, or a predicted one that is no number",
        "give `predicted_speed` or `current_speed`, or map a field to it",
    ),
    "not_a_prediction": Advice(
        "no predicted speed, and a measured one that is no number; or a `speed` that may be a forecast",
        "give `predicted_speed`, or `current_speed` for a measured one; see observations",
    ),
    "not_finite": Advice(
        "the speed is NaN, infinite, or beyond what a double holds",
        "leave the message out",
    ),
    "absurd_speed": Advice(
        "the speed is negative or over 200 mph (321.87 km/h)",
        "look at the model, and at the unit: `predicted_speed_kmh` is converted",
    ),
    "bad_time": Advice(
        "the first time that is given can't be read, or is not in 2000 to 2200; or none is given and Kafka "
        "has none that can be used",
        "send ISO 8601 with a zone, or an epoch; see Times",
    ),
    "time_in_future": Advice(
        "more than `MAX_FUTURE` after Kafka's time of the record, or after the server's clock: it would hide "
        "what comes after it",
        "look at the producer's clock, the server's, and `PRODUCER_TIMEZONE`; the target belongs in `target_time`",
    ),
    "bad_horizon": Advice(
        'the horizon is no number or duration, such as `"soon"`, and no target time is given',
        "send `horizon_minutes` or `target_time`, or map the text as `missing`",
    ),
    "unknown_tombstone": Advice(
        "a null value whose key is missing, not UTF-8, no id, or no segment that is known",
        "give the segment id as key",
    ),
}
"""By reason."""
