"""The report on past predictions: by horizon, regime and model."""

from flask import Blueprint, Response

from consumer.scoring.tally import scale_of
from web import params, wire
from web.answers import responses
from web.services import services
from web.times import now_iso

blueprint = Blueprint("scores", __name__)


@blueprint.get("/api/scores")
def scores() -> Response:
    """Answer with the scores of all predictions in the window, and with what they are counted by."""
    params.only()
    settings = services().settings
    scale, report = scale_of(settings), services().get_consumer().feed.score_report(params.everything())
    data = {
        "window_seconds": settings.max_age,
        "congested_below": scale.congested_below,
        "mape_floor": scale.mape_floor,
        "interval_level": settings.interval_level or None,
        **report,
        "timestamp": now_iso(),
    }
    return responses.json(wire.success(data))
