"""What clients hold, and which were refused, by address: for operators."""

from flask import Blueprint, Response

from web import params, wire
from web.access.shares import KINDS, ClientShares
from web.answers import responses
from web.limits.addresses import hashed
from web.services import services
from web.times import now_iso

blueprint = Blueprint("clients", __name__)

MOST = 100
"""Clients in the report."""


@blueprint.get("/api/clients")
def clients() -> Response:
    """Answer with the clients that were refused most often, then those that hold most."""
    params.only()
    here = services()
    shown = [_client(each, here.settings.hash_addresses) for each in here.admission.shares.largest(MOST)]
    data = {"clients": shown, "refused": here.admission.shares.refusals(), "timestamp": now_iso()}
    return responses.json(wire.success(data))


def _client(share: ClientShares, is_hashed: bool) -> dict[str, object]:
    return {
        "client": hashed(share.name) if is_hashed else share.name,
        "streams": share.held.get("streams", 0),
        "replays": share.held.get("replays", 0),
        "refused": {kind: share.refused.get(kind, 0) for kind in KINDS},
    }
