"""The page, and the headers that keep what came from Kafka from ever being more than text."""

from flask import Blueprint, Flask, Response, redirect, render_template, url_for
from werkzeug.wrappers import Response as BaseResponse

from .services import services

blueprint = Blueprint("pages", __name__)

POLL_SECONDS = 5
"""How often the page polls when no stream gets through."""

CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'self'",
    ]
)


@blueprint.get("/")
def home() -> BaseResponse:
    """Lead to the page."""
    return redirect("/predictions")


@blueprint.get("/predictions")
def page() -> str:
    """Show the page; it fetches its data itself, so it comes at once whatever Kafka does."""
    settings = services().settings
    config = {
        "title": "Greenwave",
        "speed_unit": settings.speed_unit,
        "thresholds_mph": settings.thresholds_mph,
        "expected_interval_seconds": settings.expected_interval,
        "topic": settings.topic,
        "poll_seconds": POLL_SECONDS,
        "heartbeat_seconds": settings.heartbeat_seconds,
        "charts": {
            "script": url_for("static", filename="vendor/uplot/uPlot.iife.min.js"),
            "style": url_for("static", filename="vendor/uplot/uPlot.min.css"),
        },
    }
    return render_template("predictions.html", config=config)


def secure(app: Flask) -> None:
    """Put the security headers on every answer."""

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("Referrer-Policy", "same-origin")
        return response
