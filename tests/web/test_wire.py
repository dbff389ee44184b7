"""The wire format: exact bytes."""

import json

import pytest
from msgspec import structs
from wsproto.frame_protocol import FrameProtocol

from consumer.parsing.fields import MAX_TEXT
from consumer.prediction import Coordinates, Observation, Prediction
from consumer.view.events import Status
from web import wire

SHORT = Prediction(
    segment_id="LA_001",
    timestamp=1_700_000_000_000,
    prediction_time="2023-11-14T22:13:20.000Z",
    horizon_minutes=None,
    current_speed=None,
    predicted_speed=50.5,
    speed_diff=None,
    current_volume=None,
    category="moderate_traffic",
)
SHORT_JSON = (
    b'{"segment_id":"LA_001","timestamp":1700000000000,"prediction_time":"2023-11-14T22:13:20.000Z",'
    b'"horizon_minutes":null,"current_speed":null,"predicted_speed":50.5,"speed_diff":null,"current_volume":null,'
    b'"category":"moderate_traffic"}'
)
LONG = Prediction(
    segment_id='I-5 \u2028 <b>\n"x"',
    timestamp=1,
    prediction_time="1970-01-01T00:00:00.001Z",
    horizon_minutes=15,
    current_speed=0.0,
    predicted_speed=12.0,
    speed_diff=12.0,
    current_volume=0.0,
    category="severe_congestion",
    coordinates=Coordinates(34.05, -118.24),
    road_name="I-5",
    confidence=0.9,
    model="m",
    target_time="1970-01-01T00:15:00.001Z",
    producer_category="jam",
    source="replay",
    late=True,
)
LONG_JSON = (
    b'{"segment_id":"I-5 \\u2028 <b>\\n\\"x\\"","timestamp":1,"prediction_time":"1970-01-01T00:00:00.001Z",'
    b'"horizon_minutes":15,"current_speed":0.0,"predicted_speed":12.0,"speed_diff":12.0,"current_volume":0.0,'
    b'"category":"severe_congestion","coordinates":{"latitude":34.05,"longitude":-118.24},"road_name":"I-5",'
    b'"confidence":0.9,"model":"m","target_time":"1970-01-01T00:15:00.001Z","producer_category":"jam",'
    b'"source":"replay","late":true}'
)

SEEN = Observation("LA_001", 1_700_000_000_000, 40.0, None, "heavy_traffic")
SEEN_JSON = (
    b'{"segment_id":"LA_001","timestamp":1700000000000,"current_speed":40.0,"current_volume":null,'
    b'"category":"heavy_traffic"}'
)

EXACT = [
    (wire.item(SEEN), b'{"type":"observation","data":' + SEEN_JSON + b"}"),
    (
        wire.initial([SHORT], "AQ", [SEEN]),
        (
            b'{"type":"initial","predictions":['
            + SHORT_JSON
            + b'],"count":1,"observations":['
            + SEEN_JSON
            + b'],"observation_count":1}',
            2,
        ),
    ),
    (
        wire.initial([], "AQ", []),
        (b'{"type":"initial","predictions":[],"count":0,"observations":[],"observation_count":0}', 0),
    ),
    (
        wire.left("A", "expired", is_observation=True),
        b'{"type":"left","segment_id":"A","horizon_minutes":null,"reason":"expired","kind":"observation"}',
    ),
    (wire.item(SHORT), b'{"type":"prediction","data":' + SHORT_JSON + b"}"),
    (wire.item(LONG), b'{"type":"prediction","data":' + LONG_JSON + b"}"),
    (wire.initial([], "AQ"), (b'{"type":"initial","predictions":[],"count":0}', 0)),
    (wire.initial([SHORT], "AQ"), (b'{"type":"initial","predictions":[' + SHORT_JSON + b'],"count":1}', 1)),
    (
        wire.initial([SHORT, LONG], "AQ"),
        (b'{"type":"initial","predictions":[' + SHORT_JSON + b"," + LONG_JSON + b'],"count":2}', 2),
    ),
    (
        wire.connected("sse", "2025-01-01T00:00:00.000Z", {"topic": "t"}),
        b'{"type":"connected","message":"Connected to the prediction stream","timestamp":"2025-01-01T00:00:00.000Z",'
        b'"transport":"sse","topic":"t"}',
    ),
    (wire.left("A", "removed"), b'{"type":"left","segment_id":"A","horizon_minutes":null,"reason":"removed"}'),
    (wire.left("A", "filter", 15), b'{"type":"left","segment_id":"A","horizon_minutes":15,"reason":"filter"}'),
    (wire.stats({"total": 0}), b'{"type":"stats","data":{"total":0}}'),
    (
        wire.status(Status("live", 0.0, "read"), "1970-01-01T00:00:00.000Z", None),
        b'{"type":"status","state":"live","since":"1970-01-01T00:00:00.000Z","reason":"read","retry_in":null}',
    ),
    (wire.gap("too_old", 7), b'{"type":"gap","reason":"too_old","missed":7}'),
    (wire.gap("other_topic", None), b'{"type":"gap","reason":"other_topic","missed":null}'),
    (wire.position(), b'{"type":"position"}'),
    (wire.bye("closing"), b'{"type":"bye","reason":"closing"}'),
    (
        wire.error("failed", "ValueError", "2025-01-01T00:00:00.000Z"),
        b'{"type":"error","message":"failed","error":"ValueError","timestamp":"2025-01-01T00:00:00.000Z"}',
    ),
    (
        wire.busy(),
        b'{"type":"busy","message":"All slots for streams are in use; retry later, or poll /api/predictions"}',
    ),
    (wire.sse_frame(b"{}"), b"data: {}\n\n"),
    (wire.sse_frame(b"{}", "AQ"), b"id: AQ\ndata: {}\n\n"),
    (wire.sse_retry(1500, wire.sse_frame(b"{}")), b"retry: 1500\ndata: {}\n\n"),
    (wire.sse_padding(), b":" + b" " * 2048 + b"\n\n"),
    (wire.HEARTBEAT, b": heartbeat " + b"." * 256 + b"\n\n"),
    (wire.success({"a": 1}), b'{"success":true,"data":{"a":1}}'),
    (wire.failure("no"), b'{"success":false,"error":"no"}'),
    (wire.failure("no", "a1"), b'{"success":false,"error":"no","request_id":"a1"}'),
]


@pytest.mark.parametrize(("made", "expected"), EXACT)
def test_exact_bytes_of_each_message(made, expected):
    assert made == expected


def test_no_message_contains_a_line_feed():
    assert all(made.count(b"\n") == 0 for made, _ in EXACT if made[:1] == b"{")


@pytest.mark.parametrize("cursor", ["A", "A" * 16_384])
def test_an_initial_has_whole_predictions_within_its_limit(cursor):
    message, held = wire.initial([LONG] * 20_000, cursor)
    view = json.loads(message)
    assert view["count"] == 20_000
    assert view["predictions"] == [json.loads(LONG_JSON)] * held
    framed = len(wire.sse_frame(message, cursor))
    assert wire.INITIAL_BYTES - len(LONG_JSON) - wire.ENVELOPE_BYTES <= framed <= wire.INITIAL_BYTES
    assert len(wire.with_cursor(message, cursor)) <= wire.INITIAL_BYTES


@pytest.mark.parametrize(("predictions", "whole"), [(20_000, False), (50, True)])
def test_an_initial_with_observations_keeps_its_limit(predictions, whole):
    cursor = "A" * 100
    message, held = wire.initial([LONG] * predictions, cursor, [SEEN] * 20_000)
    view = json.loads(message)
    assert (view["count"], view["observation_count"]) == (predictions, 20_000)
    assert (len(view["predictions"]) == predictions) is whole
    assert (view["observations"] != []) is whole, "they follow all predictions"
    assert len(view["predictions"]) + len(view["observations"]) == held
    assert len(wire.with_cursor(message, cursor)) <= wire.INITIAL_BYTES


def test_the_largest_prediction_fits_into_an_initial():
    widest = "\x00" * MAX_TEXT  # six bytes each in JSON
    texts = ("segment_id", "road_name", "model", "producer_category", "source")
    fields = {name: widest for name in texts if name in Prediction.__struct_fields__}
    assert len(wire.json_bytes(structs.replace(LONG, **fields))) < wire.INITIAL_BYTES - 16_384


LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"


def test_json_contains_no_line_end_of_python():
    assert len(("a" + "a".join(LINE_ENDS) + "a").splitlines()) == len(LINE_ENDS) + 1
    text = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x11000)]))
    made = wire.json_bytes({text: text})
    assert made.decode().splitlines() == [made.decode()]
    assert json.loads(made) == {text: text}


def test_text_like_an_escaped_line_end_is_unchanged():
    texts = ["\\u2028", "\\\u2028", "\u2019\u2013\u2027\u202a", "\x84\x86Å"]
    assert json.loads(wire.json_bytes(texts)) == texts


@pytest.mark.parametrize("text", ["{}", "é", *("x" * size for size in (0, 125, 126, 65_535, 65_536))], ids=len)
def test_websocket_frame_equals_that_of_the_library(text):
    frame = FrameProtocol(client=False, extensions=[]).send_data(text, fin=True)
    assert wire.websocket_frame(text.encode()) == frame
