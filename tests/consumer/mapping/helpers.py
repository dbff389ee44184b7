"""Helpers for tests of mappings: write a file, normalise by it."""

import json

from consumer.messages.normalise import Normaliser
from consumer.settings import Settings
from consumer.sources.record import Record, encode_headers
from tests.consumer.shapes import KAFKA_MS

FIELDS = '[shape.fields]\nsegment_id = "id"\npredicted_speed = "v"\n'


def record(value, key=None, headers=()):
    """Return a record; a value that is not bytes is written as JSON."""
    content = value if isinstance(value, bytes | None) else json.dumps(value).encode()
    return Record("roads", 0, 7, KAFKA_MS, key, content, None, encode_headers(headers) if headers else b"")


def normaliser(tmp_path, mapping, **settings):
    """Return a normaliser with a mapping file of this content."""
    file = tmp_path / "mapping.toml"
    file.write_text(mapping, encoding="utf-8")
    return Normaliser(Settings(mapping_file=str(file), **settings))


def predictions(normalised):
    """Return the predictions and observations of a record with nothing refused."""
    assert normalised.refusals == []
    return [item for _, item in normalised.items]
