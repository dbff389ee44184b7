"""GET /api/scores: what past predictions came to, for those who may see all of them."""

from msgspec import structs

from app import create_app
from tests.consumer.helpers import message
from tests.web.access.tokens_file import bearer, tokens_file
from tests.web.conftest import SETTINGS
from tests.web.documents.conformity import check_response

MADE = 1_700_000_000_000


def get(client, settings=SETTINGS, headers=None, query=""):
    response = client.get(f"/api/scores{query}", headers=headers)
    check_response(response, "GET", "/api/scores", settings, response.get_data())
    return response


def judge(put):
    """Publish a prediction and what it came to."""
    made = {"current_speed": 60, "horizon_minutes": 5, "model": "graph-2", "lower": 35, "upper": 55}
    put(message("A", timestamp=MADE, speed=50, **made))
    put(message("A", timestamp=MADE + 300_000, speed=50, current_speed=40))


def test_the_report_has_totals_horizons_regimes_and_models(client, put, live):
    judge(put)
    data = get(client).json["data"]
    score = {"count": 1, "rmse": 10.0, "mae": 10.0, "bias": 10.0, "mape": 25.0, "usual": None}
    score["persistence"] = {"count": 1, "rmse": 20.0, "mae": 20.0, "bias": 20.0, "skill": 0.75}
    score["intervals"] = {"count": 1, "coverage": 1.0}
    counted = {**score, "not_judged": 0, "late": 0, "observed": 0}
    regimes = {"congested": None, "transition": score, "free": None, "unknown": None}
    del data["timestamp"]
    assert data == {
        "window_seconds": SETTINGS.max_age,
        "congested_below": 45.0,
        "mape_floor": 5.0,
        "interval_level": None,
        "total": {**counted, "by_regime": regimes},
        "by_horizon": [{"horizon_minutes": 5, **counted, "by_regime": regimes}],
        "by_model": [{"model": "graph-2", "horizon_minutes": 5, **counted}],
    }


def test_the_report_before_the_first_score_is_empty(client, live):
    data = get(client).json["data"]
    assert (data["total"]["count"], data["total"]["rmse"], data["by_horizon"]) == (0, None, [])


def test_a_parameter_is_refused(client, live):
    assert get(client, query="?segment=A").status_code == 400


def test_a_token_with_limits_gets_no_report(tmp_path, consumer, put, settings, live):
    tokens = tokens_file(tmp_path / "tokens.toml", all={}, one={"segments": ["A"]})
    settings = structs.replace(settings, auth="token", auth_tokens_file=str(tokens.path), interval_level=0.9)
    app = create_app(settings, lambda: consumer)
    judge(put)
    data = get(app.test_client(), settings, bearer(tokens["all"])).json["data"]
    assert (data["total"]["count"], data["interval_level"]) == (1, 0.9)
    data = get(app.test_client(), settings, bearer(tokens["one"])).json["data"]
    assert (data["total"], data["by_horizon"], data["by_model"]) == (None, [], [])
    app.extensions["greenwave"].admission.close()
