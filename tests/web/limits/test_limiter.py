"""What one client may use, while others are served."""

import pytest
from msgspec import structs

from app import create_app
from tests.consumer.helpers import eventually, message
from tests.web.access.tokens_file import bearer, tokens_file
from tests.web.conftest import SETTINGS
from tests.web.paths import client_of, events_of
from web.access.admission import Admission
from web.access.shares import Holder, Shares, holder

CLIENT, OTHER, PROXY = "203.0.113.7", "203.0.113.8", "127.0.0.1"
BEHIND_PROXY = structs.replace(SETTINGS, trusted_proxies=PROXY, hash_addresses=False)
FEW = structs.replace(BEHIND_PROXY, client_streams=2, client_replays=1, client_request_rate=1, client_stream_rate=1)
UNLIMITED = structs.replace(FEW, client_streams=0, client_replays=0, client_request_rate=0, client_stream_rate=0)


@pytest.fixture
def ask(app, delivery):
    """Send a request as a client behind the proxy."""
    client = client_of(app, delivery)

    def ask(path="/api/predictions", address=CLIENT, **options):
        headers = {"X-Forwarded-For": address} if address else {}
        return client.get(path, headers=headers, environ_base={"REMOTE_ADDR": PROXY}, **options)

    return ask


def first_event(response):
    for frame in response.response:
        for _, content in events_of([frame]):
            return content
    return None


@pytest.mark.parametrize("settings", [FEW])
def test_requests_beyond_the_rate_are_429_with_retry_after(ask):
    answers = [ask() for _ in range(11)]
    assert [each.status_code for each in answers] == [200] * 10 + [429]
    assert answers[-1].headers["Retry-After"] == "1"
    assert answers[-1].json["error"] == "this client sends too many requests; retry later"
    assert ask(address=OTHER).status_code == 200


@pytest.mark.parametrize("settings", [FEW])
def test_probes_and_files_have_no_rate(ask, live):
    for _ in range(30):
        assert ask("/healthz").status_code == ask("/readyz").status_code == 200
        with ask("/static/css/tokens.css") as file:
            assert file.status_code == 200
    assert ask().status_code == 200


@pytest.mark.parametrize("settings", [FEW])
@pytest.mark.parametrize("address", ["", "10.0.0.7", "::1"])
def test_exempt_addresses_have_no_limits(ask, address):
    assert {ask(address=address).status_code for _ in range(30)} == {200}


@pytest.mark.parametrize("settings", [UNLIMITED])
def test_zero_is_no_limit(ask):
    assert {ask().status_code for _ in range(30)} == {200}


@pytest.mark.parametrize("settings", [FEW])
def test_a_forged_header_does_not_change_the_client(ask):
    answers = [ask(address=f"198.51.100.{number}, {CLIENT}") for number in range(11)]
    assert answers[-1].status_code == 429


@pytest.mark.parametrize("settings", [FEW])
def test_a_stream_beyond_the_rate_is_busy(ask):
    for _ in range(10):
        ask()
    response = ask("/predictions/stream")
    assert response.status_code == 200
    assert first_event(response)["type"] == "busy"
    response.close()


@pytest.mark.parametrize("settings", [FEW])
def test_streams_beyond_the_share_are_busy_and_others_are_served(ask, put):
    put(message("LA_001"))
    opened = [ask("/predictions/stream") for _ in range(2)]
    assert [first_event(each)["type"] for each in opened] == ["connected"] * 2
    refused, other = ask("/predictions/stream"), ask("/predictions/stream", address=OTHER)
    assert first_event(refused)["type"] == "busy"
    assert first_event(other)["type"] == "connected"
    for each in (*opened, refused, other):
        each.close()
    eventually(lambda: first_type(ask) == "connected")


def first_type(ask):
    response = ask("/predictions/stream")
    found = first_event(response)["type"]
    response.close()
    return found


@pytest.mark.parametrize("settings", [FEW])
def test_replays_beyond_the_share_are_429(ask, app, live):
    with app.extensions["greenwave"].admission.slot() as slot:
        token = holder.set(Holder((CLIENT,), (CLIENT,)))
        assert slot.acquire("replay")
        holder.reset(token)
        refused = ask("/api/predictions/history?since=0")
        assert refused.status_code == 429
        assert refused.headers["Retry-After"] == "5"
        assert ask("/api/predictions/history?since=0", address=OTHER).status_code == 200
    assert ask("/api/predictions/history?since=0").status_code == 200


@pytest.mark.parametrize("settings", [FEW])
def test_operators_see_who_holds_and_who_was_refused(ask, client, live):
    opened = ask("/predictions/stream")
    assert first_event(opened)["type"] == "connected"
    for _ in range(10):
        ask(address=OTHER)
    ask(address=OTHER)
    report = client.get("/api/clients").json["data"]
    assert report["clients"][0]["client"] == OTHER
    assert report["clients"][0]["refused"] == {"streams": 0, "replays": 0, "requests": 1}
    assert {each["client"]: each["streams"] for each in report["clients"]}[CLIENT] == 1
    assert report["refused"]["requests"] == 1
    metrics = client.get("/metrics").text
    assert 'greenwave_client_refusals_total{limit="requests"' in metrics
    assert CLIENT not in metrics
    opened.close()


@pytest.mark.parametrize("settings", [structs.replace(FEW, hash_addresses=True)])
def test_addresses_are_hashed_if_so_set(ask, client, live, caplog):
    for _ in range(11):
        ask()
    text = client.get("/api/clients").text
    assert CLIENT not in text + caplog.text
    assert '"client":"#' in text


def test_addresses_are_hashed_by_default(client):
    assert SETTINGS.hash_addresses


@pytest.mark.parametrize("settings", [FEW])
def test_a_refused_client_is_logged_once_in_a_while(ask, caplog):
    for _ in range(40):
        ask()
    assert [each.getMessage() for each in caplog.records if "too many" in each.getMessage()] == [
        f"client {CLIENT} sends too many requests; refused"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("settings", [structs.replace(FEW, client_request_rate=5)])
def test_one_address_with_1_000_attempts_takes_nothing_from_others(ask, client, live):
    statuses = [ask().status_code for _ in range(1_000)]
    assert statuses.count(429) > 800
    assert {ask(address=OTHER).status_code for _ in range(20)} == {200}
    assert len(client.get("/api/clients").json["data"]["clients"]) <= 3


@pytest.mark.parametrize("settings", [FEW])
def test_a_token_is_limited_wherever_its_requests_come_from(tmp_path, consumer, live):
    tokens = tokens_file(tmp_path / "t.toml", reader={}, other={}, operator={"roles": ["operator"]})
    settings = structs.replace(FEW, auth="token", auth_tokens_file=str(tokens.path))
    app = create_app(settings, lambda: consumer)
    client = app.test_client()

    def status(name, address=PROXY):
        return client.get(
            "/api/config", headers=bearer(tokens[name]), environ_base={"REMOTE_ADDR": address}
        ).status_code

    assert [status("reader") for _ in range(11)] == [200] * 10 + [429]
    assert status("reader", "10.0.0.9") == 429
    assert status("other") == 200
    report = client.get("/api/clients", headers=bearer(tokens["operator"])).json["data"]
    assert report["clients"][0]["client"] == "token reader"
    assert client.get("/api/clients", headers=bearer(tokens["other"])).status_code == 403
    app.extensions["greenwave"].admission.close()


def test_what_is_held_is_forgotten_when_it_is_given_back():
    shares = Shares({"streams": 1})
    admission = Admission(threads=4, max_streams=5, shares=shares)
    token = holder.set(Holder((CLIENT,), (CLIENT,)))
    slot, second = admission.stream_slot(), admission.stream_slot()
    assert slot.acquire("sse")
    assert not second.acquire("websocket")
    slot.release()
    assert second.acquire("websocket")
    second.release()
    holder.reset(token)
    assert [each.held for each in shares.largest(10)] == [{}]
    assert shares.refusals() == {"streams": 1, "replays": 0, "requests": 0}


def test_a_full_pool_takes_no_share():
    shares = Shares({"streams": 5})
    admission = Admission(threads=4, max_streams=1, shares=shares)
    token = holder.set(Holder((CLIENT,), (CLIENT,)))
    slot = admission.stream_slot()
    assert slot.acquire("sse")
    assert not admission.stream_slot().acquire("sse")
    holder.reset(token)
    assert [each.held for each in shares.largest(10)] == [{"streams": 1}]
    slot.release()


def test_refused_clients_are_kept_in_a_bounded_table():
    shares = Shares({})
    for number in range(5_000):
        shares.refuse((str(number),), "requests")
    assert len(shares.largest(10_000)) == 1_000
    assert shares.refusals()["requests"] == 5_000
