"""The page of a road: which roads there are, how a path names one, and what an unknown one gets."""

import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from msgspec import structs

from app import create_app
from consumer import Consumer
from consumer.settings import Settings
from consumer.sources.memory import MemorySource, MemoryTopic
from tests.consumer.helpers import message
from tests.web.access.tokens_file import bearer, tokens_file
from tests.web.conftest import SETTINGS
from web.page import roads

EXAMPLES = json.loads((Path(__file__).parents[2] / "roads.json").read_text(encoding="utf-8"))
"""What the page's JavaScript must give, too: its tests read the same file."""


@pytest.fixture
def known(client, put, live):
    """The client of an app with segments on three roads."""
    for name, road in (("A", "I-405 N at Sunset"), ("B", "I-405 S"), ("C", "Main <b>Street</b>")):
        put(message(name, road_name=road))
    put(message("D"))
    return client


def config(response):
    return json.loads(re.search(r'id="config">(.*?)</script>', response.text).group(1))


@pytest.mark.parametrize(("name", "road"), EXAMPLES["roads"])
def test_a_road_is_a_name_with_its_direction_or_the_whole_name(name, road):
    assert roads.road_of(name) == road


def test_roads_are_in_natural_order():
    assert roads.roads_of(["I-10 E", "I-5 N at B", "I-5 N at A", "A1"]) == ["A1", "I-5 N", "I-10 E"]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("I-405 N", "I-405 N"),
        ("I-405+N", "I-405 N"),
        ("i-405+n", "I-405 N"),
        ("A+B", "A+B"),
        ("A B", "A B"),
        ("I-405", None),
    ],
)
def test_a_path_names_a_road_in_any_case_with_plus_for_blanks(asked, found):
    assert roads.find_road(asked, ["I-405 N", "A B", "A+B"]) == found


@pytest.mark.parametrize(("road", "path"), EXAMPLES["paths"])
def test_the_path_of_a_road_leads_to_it(road, path):
    assert roads.path_of(road) == path
    assert roads.find_road(unquote(roads.path_of(road)), [road]) == road


def test_the_other_direction_is_named_if_it_is_known():
    assert roads.opposite("I-405 N", ["I-405 S"]) == "I-405 S"
    assert roads.opposite("I-405 NB", ["I-405 SB"]) == "I-405 SB"
    assert roads.opposite("I-405 N", ["I-405 E"]) is None
    assert roads.opposite("Main Street", ["Main Street"]) is None


def test_a_road_that_no_filter_gives_in_full_has_none():
    assert roads.filter_for("I-405 N", ["I-405 N", "I-405 N at Sunset", "I-5 S, x"]) == "I-405 N"
    assert roads.filter_for("I-5 S", ["I-5 S, Hollywood"]) is None
    assert roads.filter_for("Main St, Springfield", ["Main St, Springfield"]) is None


def test_the_page_of_a_road_has_its_name_its_filter_and_links(known):
    response = known.get("/predictions/road/I-405+N")
    assert response.status_code == 200
    assert (config(response)["road"], config(response)["road_filter"]) == ("I-405 N", "I-405 N")
    assert '<a class="button" data-page href="/predictions/road/I-405+S">I-405 S</a>' in response.text
    assert 'href="/predictions?road=I-405%20N"' in response.text
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")


def test_an_unknown_road_gets_404_with_the_roads_there_are(known):
    response = known.get("/predictions/road/I-9+<i>")
    assert (response.status_code, response.mimetype) == (404, "text/html")
    assert "No segment is on the road <b>I-9 &lt;i&gt;</b>" in response.text
    links = re.findall(r'<li><a href="([^"]+)">([^<]+)</a>', response.text)
    assert links == [
        ("/predictions/road/I-405+N", "I-405 N"),
        ("/predictions/road/I-405+S", "I-405 S"),
        ("/predictions/road/Main+%3Cb%3EStreet%3C%2Fb%3E", "Main &lt;b&gt;Street&lt;/b&gt;"),
    ]
    for path, _ in links:
        assert known.get(path).status_code == 200


@pytest.mark.parametrize("road", ["A//B", "100 %", "a?b#c", "N/S;x"])
def test_a_name_of_any_characters_has_a_page(client, put, live, road):
    put(message("A", road_name=road))
    response = client.get(f"/predictions/road/{roads.path_of(road)}")
    assert (response.status_code, config(response)["road"]) == (200, road)


def test_without_any_road_the_page_says_so(client, live):
    response = client.get("/predictions/road/I-5+N")
    assert response.status_code == 404
    assert "No message with a road has been read yet." in response.text


def test_a_starting_process_serves_the_page_of_any_road():
    consumer = Consumer(Settings(), lambda _: MemorySource(MemoryTopic()), poll_seconds=0.02)  # not started
    response = create_app(consumer.settings, lambda: consumer).test_client().get("/predictions/road/I-5+N")
    assert (response.status_code, config(response)["road"]) == (200, "I-5 N")


def test_the_links_have_the_prefix_of_the_application(known):
    def get(path):
        return known.get(path, environ_overrides={"SCRIPT_NAME": "/traffic", "RAW_URI": f"/traffic{path}"})

    page = get("/predictions/road/I-405+N").text
    assert 'data-root="/traffic"' in page
    assert 'href="/traffic/predictions/road/I-405+S"' in page
    assert 'href="/traffic/predictions/road/I-405+N"' in get("/predictions/road/x").text


def test_the_roads_of_a_network_are_known_before_their_first_message(tmp_path):
    line = {"type": "LineString", "coordinates": [[-118.2, 34.0], [-118.2, 34.1]]}
    feature = {"type": "Feature", "properties": {"segment_id": "A", "road": "I-5 N"}, "geometry": line}
    file = tmp_path / "network.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    consumer = Consumer(Settings(network_file=str(file)), lambda _: MemorySource(MemoryTopic()))
    assert roads.road_names(consumer, None) == {"I-5 N"}


def test_a_client_with_limited_rights_sees_only_its_roads(tmp_path, consumer, put, live):
    claims = {"all": {}, "one": {"roads": ["I-5"]}}
    tokens = tokens_file(tmp_path / "tokens.toml", **claims)
    settings = structs.replace(SETTINGS, auth="token", auth_tokens_file=str(tokens.path))
    app = create_app(settings, lambda: consumer)
    put(message("A", road_name="US-101 S"))
    put(message("B", road_name="I-5 N"))
    path = "/predictions/road/US-101+S"
    client = app.test_client()
    assert client.get(path, headers=bearer(tokens["all"])).status_code == 200
    refused = client.get(path, headers=bearer(tokens["one"]))
    assert refused.status_code == 404
    assert re.findall(r"<li><a[^>]*>([^<]+)", refused.text) == ["I-5 N"]
    visitor = client.get(path)
    assert visitor.status_code == 302
    assert visitor.headers["Location"] == "/sign-in?next=%2Fpredictions%2Froad%2FUS-101%2BS"
    app.extensions["greenwave"].admission.close()
