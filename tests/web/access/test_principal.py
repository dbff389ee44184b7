"""Principals: what they may see, and which routes need what."""

import pytest

from consumer.settings import Settings
from consumer.view.filters import EVERYTHING, Filter
from web import params
from web.access.principal import ANYONE, NO_RIGHTS, Principal
from web.access.rules import RULES, Rule

SEVERAL = Settings(kafka_topic="a,b").topics


def asked(principal, **values):
    return params.filter_of(lambda name: values.get(name, []), SEVERAL, principal)


def test_each_route_has_a_rule(app):
    assert {rule.endpoint for rule in app.url_map.iter_rules()} == set(RULES)


@pytest.mark.parametrize("endpoint", ["metrics.metrics", "quarantine.quarantine"])
def test_routes_for_operators(endpoint):
    assert RULES[endpoint] is Rule.OPERATE


def test_without_authentication_all_clients_share_one_filter():
    assert ANYONE.narrow(EVERYTHING) is EVERYTHING


def test_what_a_principal_may_see_is_part_of_each_filter():
    limits = Filter(roads=frozenset({"i-5"}))
    assert asked(Principal(limits=limits), segment=["A"]) == Filter(segments=frozenset({"A"}), within=limits)


def test_without_rights_nothing_is_seen():
    assert NO_RIGHTS.narrow(EVERYTHING).within.segments == frozenset()


@pytest.mark.parametrize(
    ("own", "requested", "pace"), [(None, None, None), (5, None, 5), (5, 2, 5), (5, 9, 9), (None, 9, 9)]
)
def test_the_slower_of_two_paces_holds(own, requested, pace):
    assert Principal(every=own).pace(requested) == pace


def test_errors_name_no_topic_that_may_not_be_seen():
    principal = Principal(limits=Filter(topics=frozenset({"a"})))
    with pytest.raises(params.BadRequest) as hidden:
        asked(principal, topic=["b"])
    assert hidden.value.description == "topic='b' can't be used; allowed: a"


def test_only_visible_topics_are_shown():
    assert Principal(limits=Filter(topics=frozenset({"a"}))).shown_topic("a,b") == "a"
    assert ANYONE.shown_topic("a,b") == "a,b"
