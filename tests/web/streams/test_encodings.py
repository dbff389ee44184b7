"""Encodings: what is encoded for one list of messages can be sent to any client at a message boundary."""

import gzip
import io
import itertools
import json
import random
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.consumer.helpers import feed_of, message, publish, record
from tests.web.conftest import hold_slot
from tests.web.streams.feeds import events_of
from web import wire
from web.streams.encodings import GZIP_HEADER, SSE, SSE_GZIP, WEBSOCKET, GzipEncoding
from web.streams.messages import Message, MessageCache, sse_events, websocket_frames

STREETS = ["Carson Street", "Vermont Avenue", "Brand Boulevard", "Victory Boulevard", "Barham", "Mulholland Drive"]
MESSAGES = st.lists(st.builds(Message, st.binary(max_size=300), st.none() | st.just("CURSOR")), max_size=5)


def decoded(*parts):
    """Return what a client has after these parts, without an end of the stream."""
    return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(b"".join(parts))


def predictions(count):
    """Return predictions of a road network as they are sent, with the cursors of a topic of four partitions."""
    feed, cache, chance = feed_of(4, start=3_000_000), MessageCache(10_000_000), random.Random(7)
    for number in range(count):
        fields = {
            "segment": str(chance.randrange(716_000, 774_000)),
            "speed": round(chance.uniform(5, 70), 2),
            "timestamp": 1_331_173_200_000,
            "road_name": f"{chance.choice(['I-405 N', 'US-101 S', 'CA-134 E'])} at {chance.choice(STREETS)}",
            "latitude": round(chance.uniform(34.05, 34.21), 5),
            "longitude": round(chance.uniform(-118.51, -118.15), 5),
            "current_speed": round(chance.uniform(5, 70), 2),
            "current_volume": chance.randrange(400),
            "horizon_minutes": chance.choice([15, 30, 60]),
        }
        publish(feed, record(chance.randrange(4), 3_000_000 + number, message(**fields)))
    with feed.locked() as state:
        return [cache.get(entry) for entry in state.ring.read(0, count)]


def test_sse_and_websocket_are_the_encodings_of_the_messages():
    messages = [Message(b'{"a":1}', "C"), Message(b'{"b":2}')]
    assert SSE.encode(messages) == sse_events(messages)
    assert WEBSOCKET.encode(messages) == websocket_frames(messages)


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [(SSE, b"retry: 5\ndata: {}\n\n"), (WEBSOCKET, b"\x81\x02{}")],
    ids=["sse", "websocket"],
)
def test_a_retry_delay_is_given_where_it_has_a_place(encoding, expected):
    assert encoding.encode_with_retry(b"{}", 5) == expected
    assert decoded(GZIP_HEADER, SSE_GZIP.encode_with_retry(b"{}", 5)) == b"retry: 5\ndata: {}\n\n"


@given(st.lists(MESSAGES, max_size=5), MESSAGES, MESSAGES)
def test_a_client_can_join_gzip_at_any_block(before, first, second):
    for each in before:
        SSE_GZIP.encode(each)
    blocks = [SSE_GZIP.encode(first), SSE_GZIP.encode(second)]
    assert decoded(SSE_GZIP.prefix, *blocks) == sse_events(first) + sse_events(second)
    assert decoded(SSE_GZIP.prefix, blocks[1]) == sse_events(second)
    assert decoded(SSE_GZIP.prefix, SSE_GZIP.padding, blocks[1]) == SSE.padding + sse_events(second)


def test_a_client_can_skip_blocks_between_others():
    blocks = [SSE_GZIP.encode([each]) for each in predictions(6)]
    for chosen in itertools.combinations(range(6), 3):
        data = decoded(SSE_GZIP.prefix, *[blocks[number] for number in chosen])
        assert len(events_of(data)) == 3


def test_each_gzip_event_can_be_decoded_when_it_arrives():
    client = zlib.decompressobj(16 + zlib.MAX_WBITS)
    client.decompress(SSE_GZIP.prefix)
    for each in predictions(10):
        assert client.decompress(SSE_GZIP.encode([each])) == each.encode_sse()


def test_gzip_blocks_of_25_events_take_90_bytes_per_event():
    messages = predictions(25)
    plain = len(SSE.encode(messages)) / 25
    assert plain > 350, "the predictions are realistic"
    assert len(SSE_GZIP.encode(messages)) / 25 <= 90


def test_gzip_can_be_used_from_several_threads():
    encoding = GzipEncoding()
    messages = predictions(50)

    def encode(number):
        return [(each, encoding.encode([each] * (number + 1))) for each in messages for _ in range(10)]

    with ThreadPoolExecutor(4) as pool:
        for number, blocks in enumerate(pool.map(encode, range(4))):
            assert all(decoded(GZIP_HEADER, block) == each.encode_sse() * (number + 1) for each, block in blocks)


def test_a_gzip_header_is_one_of_a_member_without_name():
    assert GZIP_HEADER[:2] == gzip.compress(b"")[:2]
    member = GZIP_HEADER + SSE_GZIP.encode([Message(b"{}")])
    with gzip.GzipFile(fileobj=io.BytesIO(member)) as file:
        assert file.read1() == b"data: {}\n\n"


def test_a_busy_answer_in_gzip_can_be_decoded(app, client, live):
    admission = app.extensions["greenwave"].admission
    slots = list(iter(lambda: hold_slot(admission), None))
    response = client.get("/predictions/stream", headers={"Accept-Encoding": "gzip"})
    assert response.headers["Content-Encoding"] == "gzip"
    ((_, busy),) = events_of(decoded(response.data))
    assert busy == json.loads(wire.busy())
    for each in slots:
        each.release()
