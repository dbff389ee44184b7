"""The pages' headers, the page for frames, and the network that settings name."""

import json
import re

import pytest
from msgspec import structs

from app import create_app
from consumer import Consumer
from consumer.errors import SettingsError
from consumer.messages.files import check_files
from consumer.settings import Settings, load
from consumer.sources.memory import MemorySource, MemoryTopic
from web.page.assets import version
from web.page.pages import content_security_policy


def client_with(consumer, **settings):
    app = create_app(structs.replace(consumer.settings, **settings), lambda: consumer)
    return app.test_client()


def policy(response):
    return dict(part.split(" ", 1) for part in response.headers["Content-Security-Policy"].split("; "))


def config(response):
    return json.loads(re.search(r'id="config">(.*?)</script>', response.text).group(1))


@pytest.mark.parametrize(
    ("tiles", "images"),
    [
        ("", "'self' data:"),
        ("/tiles/{z}/{x}/{y}.png", "'self' data:"),
        ("https://tile.example.org/{z}/{x}/{y}.png", "'self' data: https://tile.example.org"),
        ("https://{s}.tile.example.org:8443/{z}/{x}/{y}", "'self' data: https://*.tile.example.org:8443"),
    ],
)
def test_images_are_allowed_from_the_tile_host_only(consumer, tiles, images):
    client = client_with(consumer, map_tiles=tiles)
    for path in ("/predictions", "/predictions/embed"):
        assert policy(client.get(path))["img-src"] == images
    assert policy(client.get("/api/config"))["img-src"] == "'self' data:"


@pytest.mark.parametrize(
    ("origins", "ancestors"),
    [
        ("", "'self'"),
        ("https://a.example.org, http://b.example:8080/", "'self' https://a.example.org http://b.example:8080"),
        ("*", "'self' *"),
    ],
)
def test_only_the_embed_page_may_be_framed_by_embed_origins(consumer, origins, ancestors):
    client = client_with(consumer, embed_origins=origins)
    assert policy(client.get("/predictions/embed"))["frame-ancestors"] == ancestors
    for path in ("/predictions", "/api/predictions", "/nothing"):
        assert policy(client.get(path))["frame-ancestors"] == "'self'"


def test_no_policy_allows_inline_code():
    everything = content_security_policy("https://tile.example.org/{z}/{x}/{y}", ["*"])
    assert "unsafe" not in everything
    assert everything.startswith("default-src 'none'; script-src 'self'; style-src 'self';")


def test_the_embed_page_names_its_parts_and_links_to_the_whole_page(client):
    response = client.get("/predictions/embed?show=map&theme=dark&road=I-405+N&category=heavy_traffic")
    assert 'data-embed="map"' in response.text
    assert '<html lang="en" data-theme="dark">' in response.text
    assert config(response)["whole"] == "/predictions?road=I-405+N&category=heavy_traffic"
    assert 'data-embed="both"' in client.get("/predictions/embed").text
    assert "data-embed" not in client.get("/predictions").text


def test_only_wall_1_asks_for_the_display_on_a_wall(client):
    wall = client.get("/predictions?wall=1").text
    assert "data-wall" in wall
    assert '<html lang="en" data-theme="dark">' in wall
    assert "css/wall.css" in wall
    assert '<html lang="en" data-theme="light">' in client.get("/predictions?wall=1&theme=light").text
    for path in ("/predictions", "/predictions?wall=0", "/predictions?theme=light"):
        text = client.get(path).text
        assert "data-wall" not in text
        assert "data-theme" not in text
        assert "css/wall.css" not in text


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("wall=yes", "wall='yes' can't be used; allowed: 0, 1"),
        ("wall=1&theme=black", "theme='black' can't be used; allowed: light, dark"),
    ],
)
def test_invalid_parameters_of_a_wall_get_400_with_a_reason(client, query, said):
    response = client.get(f"/predictions?{query}")
    assert (response.status_code, response.json["error"]) == (400, said)


def test_a_wall_knows_the_version_of_its_files(client):
    versions = {config(client.get("/predictions?wall=1"))["page_version"] for _ in range(2)}
    assert len(versions) == 1
    assert "page_version" not in config(client.get("/predictions"))


def test_other_files_are_another_version(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, text in ((one, "a"), (two, "b")):
        (folder / "js").mkdir(parents=True)
        (folder / "js" / "main.js").write_text(text)
    assert re.fullmatch(r"[0-9a-f]{16}", version(str(one)))
    assert len({version(str(one)), version(str(two)), version(str(one), str(two))}) == 3


@pytest.mark.parametrize(
    ("changes", "zone"),
    [
        ({}, "UTC"),
        ({"producer_timezone": "Europe/Berlin"}, "Europe/Berlin"),
        ({"producer_timezone": "Europe/Berlin", "usual_timezone": "America/Los_Angeles"}, "America/Los_Angeles"),
    ],
)
def test_the_page_knows_the_time_zone_of_the_roads(consumer, changes, zone):
    client = client_with(consumer, **changes)
    assert config(client.get("/predictions?unit=kmh&zone=roads"))["time_zone"] == zone
    embedded = config(client.get("/predictions/embed?unit=kmh&zone=roads"))
    assert (embedded["time_zone"], embedded["whole"]) == (zone, "/predictions?unit=kmh&zone=roads")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("show=chart", "show='chart' can't be used; allowed: map, table, both"),
        ("theme=<b>", "theme='<b>' can't be used; allowed: light, dark"),
        ("theme=dark&theme=light", "theme was given 2 times; allowed: once"),
        (
            "tiles=x",
            "unknown parameter 'tiles'; allowed here: show, theme, q, road, category, segment, details, sort, map, "
            "predictions, at, horizon, unit, zone, lang",
        ),
    ],
)
def test_invalid_parameters_of_the_embed_page_get_400_with_a_reason(client, query, said):
    response = client.get(f"/predictions/embed?{query}")
    assert (response.status_code, response.json["error"]) == (400, said)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("MAP_TILES", "ftp://x/{z}/{x}/{y}", "not an http URL"),
        ("MAP_TILES", "https://x/{z}/{x}.png", "lacks {y}"),
        ("MAP_TILES", "https://x/{z}/{x}/{y};script-src *", "not an http URL"),
        ("EMBED_ORIGINS", "example.org", "is not an origin"),
        ("EMBED_ORIGINS", "https://example.org; script-src *", "is not an origin"),
        ("EMBED_ORIGINS", "https://example.org/path", "is not an origin"),
    ],
)
def test_a_setting_that_would_break_the_policy_is_refused(name, value, said):
    with pytest.raises(SettingsError, match=f"{name}=.*{re.escape(said)}"):
        load({name: value})


NETWORK = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "id": "A",
            "properties": {"road_name": "I-5 N"},
            "geometry": {"type": "LineString", "coordinates": [[-118.3, 34.0], [-118.2, 34.0]]},
        }
    ],
}


@pytest.fixture
def mapped(tmp_path):
    file = tmp_path / "network.geojson"
    file.write_text(json.dumps(NETWORK))
    settings = Settings(network_file=str(file))
    consumer = Consumer(settings, lambda _: MemorySource(MemoryTopic()), poll_seconds=0.02)
    return create_app(settings, lambda: consumer).test_client()


def test_the_network_is_served_as_geojson_with_a_validator(mapped):
    response = mapped.get("/api/network")
    assert (response.status_code, response.mimetype) == (200, "application/geo+json")
    assert json.loads(response.data) == NETWORK
    again = mapped.get("/api/network", headers={"If-None-Match": response.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert config(mapped.get("/predictions"))["has_network"] is True


def test_line_ends_in_the_network_are_escaped(tmp_path):
    named = json.loads(json.dumps(NETWORK))
    named["features"][0]["properties"]["road_name"] = "I-5\u2028\x85end"
    file = tmp_path / "network.geojson"
    file.write_text(json.dumps(named))
    settings = Settings(network_file=str(file))
    consumer = Consumer(settings, lambda _: MemorySource(MemoryTopic()), poll_seconds=0.02)
    text = create_app(settings, lambda: consumer).test_client().get("/api/network").text
    assert len(text.splitlines()) == 1
    assert json.loads(text) == named


def test_without_a_network_there_are_no_features(client):
    assert json.loads(client.get("/api/network").data) == {"type": "FeatureCollection", "features": []}
    assert config(client.get("/predictions"))["has_network"] is False
    assert client.get("/api/network?x=1").status_code == 400


def test_an_unreadable_network_file_is_refused_at_start(tmp_path):
    settings = Settings(network_file=str(tmp_path / "none.geojson"))
    for start in (check_files, Consumer):
        with pytest.raises(SettingsError, match="NETWORK_FILE"):
            start(settings)
