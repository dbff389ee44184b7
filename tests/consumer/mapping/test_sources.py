"""Each source in docs/mapping.md: its mapping and message give exactly the result that is shown."""

import json
import re
from pathlib import Path

import msgspec
import pytest

from tests.consumer.mapping.helpers import normaliser, predictions, record

DOCUMENT = (Path(__file__).parents[3] / "docs" / "mapping.md").read_text(encoding="utf-8")
SOURCES = re.findall(
    r"^### (.+?)\n.*?^```toml\n(.*?)^```\n+Message, (?:key `(.*?)`|no key):\n+```json\n(.*?)^```\n+Result:\n+"
    r"```json\n(.*?)^```",
    DOCUMENT.partition("\n## Sources\n")[2],
    re.MULTILINE | re.DOTALL,
)


def test_each_section_of_the_sources_has_all_parts():
    headings = re.findall(r"^### (.+)$", DOCUMENT.partition("\n## Sources\n")[2], re.MULTILINE)
    assert [title for title, *_ in SOURCES] == headings


@pytest.mark.parametrize(("title", "mapping", "key", "message", "result"), SOURCES, ids=lambda each: each[:30])
def test_a_source_becomes_what_the_document_shows(tmp_path, title, mapping, key, message, result):
    topic = "city.public.predictions" if "Debezium" in title else "traffic-predictions"
    normalise = normaliser(tmp_path, mapping, kafka_topic=topic)
    found = predictions(normalise(record(message.encode(), key.encode() or None)))
    expected = json.loads(result)
    built = json.loads(msgspec.json.encode(found))
    assert built == (expected if isinstance(expected, list) else [expected])


def test_the_first_mapping_of_the_document_can_be_used(tmp_path):
    (mapping,) = re.findall(r"```toml\n(.*?)^```", DOCUMENT.partition("\n## Shapes\n")[0], re.MULTILINE | re.DOTALL)
    message = {
        "updated": "2025-01-21T09:05:00",
        "results": [{"link": {"from": 1, "to": 2}, "speed": 80}, {"speed": -1}],
    }
    normalised = normaliser(tmp_path, mapping)(record(message))
    (index, prediction), (refusal,) = normalised.predictions[0], normalised.refusals
    assert (index, prediction.segment_id, prediction.timestamp, prediction.horizon_minutes) == (
        0,
        "1-2",
        1737468300000,
        15,
    )
    assert (refusal.index, refusal.reason) == (1, "no_segment")
