"""What each route needs. A route that is not listed can't be used while authentication is on; a test compares this
table with the routes of the app.
"""

from enum import Enum, auto
from typing import Literal


class Rule(Enum):
    """What a request must show."""

    OPEN = auto()
    """Nothing: probes, files of the page, the sign-in page."""
    READ = auto()
    """Credentials."""
    PAGE = auto()
    """Credentials; a browser without them is sent to the sign-in page."""
    OPERATE = auto()
    """Credentials of an operator."""
    PUBLISH = auto()
    """Credentials of a publisher."""


StreamTransport = Literal["sse", "websocket"]
"""What a stream is sent by."""
STREAM_ROUTES: dict[str, StreamTransport] = {
    "sse.stream": "sse",
    "sse.api_stream": "sse",
    "websocket.websocket": "websocket",
}
"""By endpoint. A ticket may open these. Beyond a limit they are refused in their own way, and not with 429."""

RULES = {
    "static": Rule.OPEN,
    "health.healthz": Rule.OPEN,
    "health.readyz": Rule.OPEN,
    "sign_in.form": Rule.OPEN,
    "sign_in.sign_in": Rule.OPEN,
    "sign_in.sign_out": Rule.OPEN,
    "pages.home": Rule.PAGE,
    "pages.page_with_slash": Rule.PAGE,
    "pages.page": Rule.PAGE,
    "pages.embed": Rule.PAGE,
    "pages.road": Rule.PAGE,
    "pages.network": Rule.READ,
    "polling.predictions": Rule.READ,
    "polling.segment": Rule.READ,
    "tickets.issue": Rule.READ,
    "history.history": Rule.READ,
    "usual.usual": Rule.READ,
    "scores.scores": Rule.READ,
    "acknowledgements.acknowledgements": Rule.READ,
    "acknowledgements.change": Rule.READ,
    **dict.fromkeys(STREAM_ROUTES, Rule.READ),
    "health.config": Rule.READ,
    "health.health": Rule.READ,
    "documents.openapi_document": Rule.READ,
    "documents.asyncapi_document": Rule.READ,
    "documents.page": Rule.PAGE,
    "publish.publish": Rule.PUBLISH,
    "clients.clients": Rule.OPERATE,
    "quarantine.quarantine": Rule.OPERATE,
    "metrics.metrics": Rule.OPERATE,
}
"""By endpoint. Each answer of a READ route is within the limits of its principal."""
