"""The pages, and the security headers."""

import hashlib
import os
from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode, urlsplit

from flask import Blueprint, Flask, Response, current_app, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from consumer import Consumer
from consumer.messages.network import Network, Segment
from consumer.prediction import Observation
from consumer.settings import Settings, origins
from consumer.view.filters import Filter
from web import params, wire
from web.access.guard import may_operate
from web.access.principal import current
from web.answers import responses
from web.answers.views import Body
from web.services import services

from . import assets, roads

blueprint = Blueprint("pages", __name__)

POLL_SECONDS = 5
"""How often the page polls if no stream can be opened."""

EMBEDDED = ("map", "table", "both")
THEMES = ("light", "dark")
SWITCH = ("0", "1")
PAGE_PARAMETERS = (
    "q",
    "road",
    "category",
    "segment",
    "details",
    "sort",
    "map",
    "predictions",
    "at",
    "horizon",
    "unit",
    "zone",
    "lang",
)
"""Read by the page itself, in static/js/query.js and view/display.js; the language by texts.py."""
MAX_ROADS = 500
"""Roads that a page lists."""
MAX_NAME = 200
"""Characters of an unknown road that a page repeats."""


def content_security_policy(tiles: str = "", frames: Sequence[str] = ()) -> str:
    """Return the policy for a page with map tiles of one host, which the origins in `frames` may embed."""
    host = urlsplit(tiles.replace("{s}", "*"))
    foreign = f" {host.scheme}://{host.netloc}" if host.netloc else ""
    return "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            f"img-src 'self' data:{foreign}",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            " ".join(["frame-ancestors 'self'", *frames]),
        ]
    )


CONTENT_SECURITY_POLICY = content_security_policy()


@blueprint.get(
    "/", strict_slashes=False
)  # else Werkzeug redirects to the host in the request, which the client chooses
@blueprint.get("/predictions/", endpoint="page_with_slash")
def home() -> BaseResponse:
    """Redirect to the page."""
    # Relative, because the host in the request is not trusted.
    query = urlencode(list(request.args.items(multi=True)))
    return redirect(url_for(".page") + (f"?{query}" if query else ""))


@blueprint.get("/predictions")
def page() -> Response:
    """Serve the page. It fetches its data itself, so it does not depend on the state of Kafka."""
    settings = services().settings
    on_wall = params.one_of("wall", SWITCH) == "1"
    shown: dict[str, Any] = {"config": _config(settings), "embedded": None, "theme": None, "wall": on_wall}
    if on_wall:
        shown["theme"] = params.one_of("theme", THEMES) or "dark"
        shown["config"]["page_version"] = assets.version(str(current_app.static_folder), _templates())
    answer = make_response(render_template("predictions.html", **shown))
    answer.headers["Content-Security-Policy"] = content_security_policy(settings.map_tiles)
    return answer


@blueprint.get("/predictions/embed")
def embed() -> Response:
    """Serve a read-only map, table or both, to be embedded by pages of EMBED_ORIGINS."""
    params.only("show", "theme", *PAGE_PARAMETERS)
    settings = services().settings
    shown = params.one_of("show", EMBEDDED) or "both"
    theme = params.one_of("theme", THEMES)
    rest = urlencode({name: value for name, value in request.args.items() if name in PAGE_PARAMETERS})
    config = _config(settings) | {"whole": f"{url_for('.page')}?{rest}"}
    answer = make_response(render_template("predictions.html", config=config, embedded=shown, theme=theme))
    answer.headers["Content-Security-Policy"] = content_security_policy(
        settings.map_tiles, origins(settings.embed_origins)
    )
    return answer


@blueprint.get("/predictions/road/<path:name>")
def road(name: str) -> Response:
    """Serve the page of one road and direction; for an unknown one, 404 with the roads that there are."""
    consumer, settings = services().get_consumer(), services().settings
    names = roads.road_names(consumer, params.everything().within)
    known = roads.roads_of(names)
    found = roads.find_road(name, known)
    # While a process starts, it does not know its roads yet.
    if found is None and consumer.not_ready is None:
        shown = {"asked": roads.blanks_in(name)[:MAX_NAME], "known": known, "path_of": roads.path_of, "most": MAX_ROADS}
        return make_response(render_template("road_unknown.html", **shown), 404)
    chosen = found or roads.blanks_in(name)
    config = _config(settings) | {"road": chosen, "road_filter": roads.filter_for(chosen, names)}
    page = render_template(
        "road.html",
        config=config,
        others=[each for each in known if each != chosen][:MAX_ROADS],
        opposite=roads.opposite(chosen, known),
        path_of=roads.path_of,
    )
    return make_response(page)


@blueprint.get("/api/network")
def network() -> Response:
    """Return the segments of NETWORK_FILE that the client may see as GeoJSON; no features without one."""
    params.only()
    consumer, within = services().get_consumer(), params.everything().within
    body = _network_body(consumer.network) if within is None else _part_of(consumer, within)
    return responses.cached(body.etag, body.content, lambda: body.compressed, "application/geo+json")


@lru_cache(1)
def _network_body(network: Network) -> Body:
    content = wire.json_bytes(network.geojson())
    return Body(hashlib.sha256(content).hexdigest()[:16], content)


def _part_of(consumer: Consumer, within: Filter) -> Body:
    """Return the segments within a filter. A network has no topics: of those, what the view holds is shown."""
    view = consumer.feed.snapshot(Filter(observations=True, within=within))
    in_view = {each.segment_id for each in [*view.predictions, *(view.observations or ())]}
    anywhere = within.topics is None

    def is_within(name: str, segment: Segment) -> bool:
        if name in in_view:
            return True
        place = Observation(name, 0, 0.0, None, "", coordinates=segment.coordinates, road_name=segment.road_name)
        return anywhere and within.asks_for(place)

    known = consumer.network.segments.items()
    part = Network({name: segment for name, segment in known if is_within(name, segment)})
    content = wire.json_bytes(part.geojson())
    return Body(hashlib.sha256(content).hexdigest()[:16], content)


def _templates() -> str:
    return os.path.join(current_app.root_path, str(current_app.template_folder))


def _config(settings: Settings) -> dict[str, Any]:
    return {
        "title": "Greenwave",
        "speed_unit": settings.speed_unit,
        "time_zone": settings.usual_zone.key,
        "thresholds_mph": settings.thresholds_mph,
        "expected_interval_seconds": settings.expected_interval,
        "max_age_seconds": settings.max_age,
        "topic": current().shown_topic(settings.topic),
        "poll_seconds": POLL_SECONDS,
        "heartbeat_seconds": settings.heartbeat_seconds,
        "map_tiles": settings.map_tiles,
        "map_attribution": settings.map_attribution,
        "has_network": bool(settings.network_file),
        "shares_acknowledgements": settings.shares_acknowledgements,
        "user": current().name,
        "may_operate": may_operate(settings),
        # Map tiles show borders themselves.
        "outlines": "" if settings.map_tiles else url_for("static", filename="vendor/us-atlas/counties-10m.json"),
        "usual_timezone": settings.usual_zone.key if settings.usual_file else None,
        "charts": {
            "script": url_for("static", filename="vendor/uplot/uPlot.iife.min.js"),
            "style": url_for("static", filename="vendor/uplot/uPlot.min.css"),
        },
    }


def secure(app: Flask) -> None:
    """Add the security headers to each response."""

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        response.headers.add("X-Content-Type-Options", "nosniff")
        # A browser that sends no referrer sends no origin with a form, which the sign-in needs.
        policy = "no-referrer" if b"ticket=" in request.query_string else "same-origin"
        response.headers.add("Referrer-Policy", policy)
        return response
