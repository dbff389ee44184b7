"""KAFKA_TOPIC: names, lists and patterns, and what can't be used."""

import pytest

from consumer.errors import SettingsError
from consumer.settings import Settings, load
from consumer.settings.topics import MAX_TOPICS, parse_topics


@pytest.mark.parametrize(
    ("stated", "names"), [("a", ("a",)), ("a,b", ("a", "b")), (" b , a ", ("b", "a")), ("A.b-c_1", ("A.b-c_1",))]
)
def test_names_and_lists(stated, names):
    assert parse_topics(stated) == (names, None)


def test_the_prefix_is_put_before_each_name_and_pattern():
    settings = Settings(kafka_topic="a,b", kafka_prefix="x.")
    assert (settings.topics.names, settings.topic) == (("x.a", "x.b"), "x.a,x.b")
    topics = Settings(kafka_topic="^a|b", kafka_prefix="x.").topics
    assert [name for name in ("x.a", "x.b", "xya", "b", "x.c") if topics.includes(name)] == ["x.a", "x.b"]


@pytest.mark.parametrize(
    ("stated", "why"),
    [
        ("a,,b", "number 2 of the list is empty"),
        ("a,", "number 2 of the list is empty"),
        ("a,b,a", "a is listed twice"),
        ("a,b c", "'b c' is no name of a topic"),
        ("a,^b.*", "'^b.*' is no name of a topic"),
        ("^a(", "the pattern does not compile"),
        ("^a)(b", "the pattern does not compile"),
        ("a" * 250, "longer than 249 characters"),
        (",".join(map(str, range(MAX_TOPICS + 1))), "it lists 101 topics; at most 100 are read by one process"),
    ],
)
def test_a_topic_that_can_not_be_used_is_refused_with_the_reason(stated, why):
    with pytest.raises(SettingsError) as refused:
        load({"KAFKA_TOPIC": stated})
    assert why in str(refused.value)
    assert "or a pattern such as ^traffic" in str(refused.value)


def test_a_pattern_matches_from_the_beginning_and_takes_the_first_by_name():
    topics = parse_topics(r"^traffic\.")
    assert topics.chosen(["x.traffic.a", "traffic.b", "trafficker", "traffic.a"]) == ["traffic.a", "traffic.b"]
    many = [f"traffic.{number:03}" for number in range(MAX_TOPICS + 5)]
    assert topics.chosen(many) == many[:MAX_TOPICS]
    assert topics.chosen(reversed(many)) == many[:MAX_TOPICS], "the same in every process"
    assert topics.left_out(reversed(many)) == many[MAX_TOPICS:]
    assert topics.left_out(many[:MAX_TOPICS]) == []


def test_a_list_has_the_order_of_the_setting_and_names_what_is_missing():
    topics = parse_topics("b,a,c")
    assert topics.chosen(["a", "b", "x"]) == ["b", "a"]
    assert topics.missing({"a": 1, "b": 2}) == ["c"]
