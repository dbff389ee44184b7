"""What a client may send over a WebSocket: tables of messages to subscriptions, errors and close codes."""

import pytest
from werkzeug.exceptions import BadRequest

from consumer.view.filters import EVERYTHING, Box, Filter
from tests.consumer.helpers import SETTINGS
from web.access.principal import ANYONE
from web.streams.websocket_protocol import MAX_MESSAGES, MESSAGES_SECONDS, ClientMessages, CloseRequired

ASKED = '{"type":"subscribe"}'


@pytest.mark.parametrize(
    ("text", "wanted", "after", "since_ms"),
    [
        (ASKED, EVERYTHING, None, None),
        ('{"type":"subscribe","after":"AQ"}', EVERYTHING, "AQ", None),
        ('{"type":"subscribe","since":0}', EVERYTHING, None, 0),
        ('{"type":"subscribe","since":"2026-01-01T00:00:00Z"}', EVERYTHING, None, 1_767_225_600_000),
        ('{"type":"subscribe","filter":{"segment":"A,B"}}', Filter(segments=frozenset("AB")), None, None),
        ('{"type":"subscribe","filter":{"segment":["A,B"]}}', Filter(segments=frozenset({"A,B"})), None, None),
        ('{"type":"subscribe","filter":{"segment":"","road":null}}', EVERYTHING, None, None),
        ('{"type":"subscribe","filter":{"horizon":15}}', Filter(horizons=frozenset({15})), None, None),
        ('{"type":"subscribe","filter":{"bbox":[1,2,3,4]}}', Filter(box=Box(1, 2, 3, 4)), None, None),
    ],
)
def test_a_subscribe_message_is_read(text, wanted, after, since_ms):
    asked = ClientMessages(SETTINGS.topics, ANYONE).read(text, 0.0)
    assert (asked.wanted, asked.after, asked.since_ms) == (wanted, after, since_ms)


@pytest.mark.parametrize(("given", "every"), [("5", 5.0), ("2.5", 2.5), ('"60"', 60.0), ("null", None)])
def test_a_pace_is_read(given, every):
    assert ClientMessages(SETTINGS.topics, ANYONE).read(f'{{"type":"subscribe","every":{given}}}', 0.0).every == every


def test_the_filter_is_returned_as_given():
    assert ClientMessages(SETTINGS.topics, ANYONE).read('{"type":"subscribe","filter":{"horizon":15}}', 0.0).given == {
        "horizon": 15
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "Input data was truncated; allowed: {"),
        ("nonsense", "JSON is malformed"),
        ("[]", "Expected `object`, got `array`; allowed: {"),
        ("{}", "Object missing required field `type`"),
        ('{"type":"shout"}', "Invalid value 'shout' - at `$.type`"),
        ('{"type":"subscribe","filters":{}}', "Object contains unknown field `filters`"),
        ('{"type":"subscribe","after":7}', "Expected `str | null`, got `int` - at `$.after`"),
        ('{"type":"subscribe","filter":{"colour":"red"}}', "unknown filter 'colour'; allowed: segment, category, bbox"),
        ('{"type":"subscribe","filter":{"segment":{"a":1}}}', "Expected `int | float | str | array | null`"),
        ('{"type":"subscribe","filter":{"category":["red"]}}', "category='red' can't be used; allowed: free_flow"),
        ('{"type":"subscribe","filter":{"bbox":[1,2]}}', "bbox='1,2' can't be used; allowed: west,south,east,north"),
        ('{"type":"subscribe","filter":{"segment":["a",""]}}', "segment lists an empty value"),
        ('{"type":"subscribe","every":0.5}', "every='0.5' can't be used; allowed: seconds from 1 to 60"),
        ('{"type":"subscribe","every":"often"}', "every='often' can't be used; allowed: seconds from 1 to 60"),
        ('{"type":"subscribe","every":true}', "Expected `int | float | str | null`, got `bool` - at `$.every`"),
        ('{"type":"subscribe","since":"yesterday"}', "since='yesterday' can't be used; allowed: epoch milliseconds"),
    ],
)
def test_an_unusable_message_is_answered_by_what_is_allowed(text, said):
    with pytest.raises(BadRequest) as error:
        ClientMessages(SETTINGS.topics, ANYONE).read(text, 0.0)
    assert said in error.value.description


def test_a_binary_message_closes_with_1003():
    with pytest.raises(CloseRequired, match="binary messages can't be used; allowed: text") as error:
        ClientMessages(SETTINGS.topics, ANYONE).read(b"{}", 0.0)
    assert error.value.code == 1003


def test_too_many_messages_close_with_1008():
    messages = ClientMessages(SETTINGS.topics, ANYONE)
    for _ in range(MAX_MESSAGES):
        messages.read(ASKED, 0.0)
    with pytest.raises(CloseRequired, match="too many messages; allowed: 20 in 10 s") as error:
        messages.read(ASKED, MESSAGES_SECONDS - 0.1)
    assert error.value.code == 1008


def test_messages_are_allowed_again_after_the_interval():
    messages = ClientMessages(SETTINGS.topics, ANYONE)
    for _ in range(MAX_MESSAGES):
        messages.read(ASKED, 0.0)
    assert messages.read(ASKED, MESSAGES_SECONDS).wanted == EVERYTHING


def test_unusable_messages_count_too():
    messages = ClientMessages(SETTINGS.topics, ANYONE)
    for _ in range(MAX_MESSAGES):
        with pytest.raises(BadRequest):
            messages.read("nonsense", 0.0)
    with pytest.raises(CloseRequired):
        messages.read("nonsense", 0.0)
