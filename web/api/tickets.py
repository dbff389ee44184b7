"""POST /api/tickets: a single-use ticket, with which a page opens one stream."""

from flask import Blueprint, Response

from web import params, wire
from web.access.principal import current
from web.access.tickets import TICKET_SECONDS
from web.services import services
from web.times import now_iso

blueprint = Blueprint("tickets", __name__)


@blueprint.post("/api/tickets")
def issue() -> Response:
    """Answer with a ticket of the client's token."""
    params.only()
    ticket = services().authentication.issue_ticket(current())
    data = {"ticket": ticket, "expires_in": TICKET_SECONDS, "timestamp": now_iso()}
    headers = {"Cache-Control": "no-store"}
    return Response(wire.success(data), 201, headers, mimetype="application/json")
