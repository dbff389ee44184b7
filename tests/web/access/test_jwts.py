"""JSON Web Tokens: what is accepted, what forgers try, and how keys are rotated."""

import base64
import hashlib
import hmac
import http.server
import json
import re
import threading
import time
from functools import lru_cache

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from werkzeug.exceptions import ServiceUnavailable

from app import create_app
from consumer.errors import SettingsError
from consumer.settings import Settings, load
from consumer.view.filters import Filter
from tests.consumer.helpers import eventually
from tests.web.access.test_tokens import Clock
from tests.web.access.tokens_file import bearer
from tests.web.paths import events_of
from web.access.authentication import Authentication
from web.access.jwts import Jwts
from web.access.keys import MAX_BYTES, RETRY_SECONDS, KeyUrl, fetch_keys, read_keys
from web.access.principal import Unauthenticated
from web.times import iso

SECRET = "s" * 32
NOW, DAY = int(time.time()), 86_400


def rsa_key(name="a"):
    return made_rsa_key(name)


@lru_cache
def made_rsa_key(_):
    return rsa.generate_private_key(65_537, 2_048)


@lru_cache
def ec_key():
    return ec.generate_private_key(ec.SECP256R1())


def jwk(private, kid, **more):
    algorithm = (
        jwt.algorithms.ECAlgorithm if isinstance(private, ec.EllipticCurvePrivateKey) else jwt.algorithms.RSAAlgorithm
    )
    return algorithm.to_jwk(private.public_key(), as_dict=True) | {"kid": kid, **more}


def key_set(*keys):
    return json.dumps({"keys": keys}).encode()


def settings_of(**more):
    return Settings(auth="jwt", auth_jwt_audience="greenwave", auth_jwt_issuer="https://id", **more)


def signed(key=SECRET, algorithm="HS256", headers=None, **claims):
    given = {"sub": "ann", "aud": "greenwave", "iss": "https://id", "exp": NOW + DAY} | claims
    return jwt.encode({name: each for name, each in given.items() if each is not None}, key, algorithm, headers)


def raw(header, payload, signature=b""):
    parts = [json.dumps(header).encode(), json.dumps(payload).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


@pytest.fixture
def by_secret():
    return Authentication(settings_of(auth_jwt_secret=SECRET))


@pytest.fixture
def keys_path(tmp_path):
    path = tmp_path / "keys.json"
    path.write_bytes(key_set(jwk(rsa_key(), "r"), jwk(ec_key(), "e")))
    return path


@pytest.fixture
def by_keys(keys_path):
    return Authentication(settings_of(auth_jwt_keys=str(keys_path)))


def test_claims_become_rights(by_secret):
    token = signed(greenwave={"roads": ["I-5"], "roles": ["operator"], "every": 5})
    principal = by_secret.verify(token)
    assert (principal.name, principal.roles, principal.every) == ("ann", {"operator"}, 5)
    assert principal.limits == Filter(roads=frozenset({"i-5"}))
    assert principal.expires_at == NOW + DAY + 10


@pytest.mark.parametrize("exp", [1_800_000_000_000, 10**18, 10**300])
def test_an_expiry_that_is_far_away_can_be_shown(by_secret, exp):
    assert iso(by_secret.verify(signed(exp=exp)).expires_at) == "9999-12-31T23:59:59.000Z"


def test_a_subject_is_logged_on_one_line(by_secret):
    assert by_secret.verify(signed(sub="ann\nERROR forged")).name == "ann?ERROR forged"


@pytest.mark.parametrize(("key", "algorithm", "kid"), [(rsa_key, "RS256", "r"), (ec_key, "ES256", "e")])
def test_keys_of_a_set_check_their_algorithm(by_keys, key, algorithm, kid):
    assert by_keys.verify(signed(key(), algorithm, {"kid": kid})).name == "ann"


def test_one_key_in_pem_needs_no_id(tmp_path):
    path = tmp_path / "key.pem"
    path.write_bytes(ec_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    authentication = Authentication(settings_of(auth_jwt_keys=str(path)))
    assert authentication.verify(signed(ec_key(), "ES256")).name == "ann"


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"exp": NOW - 60}, "the token has expired"),
        ({"exp": None}, "the token is not valid"),
        ({"exp": "never"}, "the token is not valid"),
        ({"nbf": NOW + DAY}, "the token is not valid yet"),
        ({"iat": NOW + DAY}, "the token is not valid yet"),
        ({"aud": "another"}, "the token is not valid"),
        ({"aud": None}, "the token is not valid"),
        ({"iss": "https://other"}, "the token is not valid"),
        ({"iss": None}, "the token is not valid"),
        ({"greenwave": {"road": "I-5"}}, "the claim greenwave of the token can't be used"),
        ({"greenwave": None, "sub": 5}, "the token is not valid"),
        *[
            ({"greenwave": {each: None}}, "the claim greenwave of the token can't be used")
            for each in ("roads", "bbox")
        ],
        ({"greenwave": "all"}, "the claim greenwave of the token can't be used"),
    ],
)
def test_a_token_that_does_not_hold_is_refused(by_secret, claims, said):
    with pytest.raises(Unauthenticated) as refused:
        by_secret.verify(signed(**claims))
    assert str(refused.value) == said


def forged(by):
    """Return tokens that nothing but a forger makes."""
    claims = {"sub": "eve", "aud": "greenwave", "iss": "https://id", "exp": NOW + DAY}
    pem = rsa_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    good = signed(rsa_key(), "RS256", {"kid": "r"})
    first, _, last = good.split(".")
    return {
        "alg none": raw({"alg": "none", "kid": "r"}, claims),
        "alg None": raw({"alg": "None", "kid": "r"}, claims, b"x"),
        "no alg": raw({"kid": "r"}, claims, b"x"),
        "alg is no text": raw({"alg": ["RS256"], "kid": "r"}, claims, b"x"),
        "public key as a secret": raw_hs256({"alg": "HS256", "kid": "r"}, claims, pem),
        "another key": signed(rsa_key("b"), "RS256", {"kid": "r"}),
        "key of another id": signed(rsa_key(), "RS256", {"kid": "e"}),
        "unknown id": signed(rsa_key(), "RS256", {"kid": "x"}),
        "no id": signed(rsa_key(), "RS256"),
        "id is no text": raw({"alg": "RS256", "kid": {"a": 1}}, claims, b"x"),
        "own key in the header": signed(rsa_key("b"), "RS256", {"jwk": jwk(rsa_key("b"), "x"), "jku": "https://evil"}),
        "another secret": signed("x" * 32),
        "changed claims": f"{first}.{raw({}, claims | {'greenwave': {}}).split('.')[1]}.{last}",
        "no signature": good.rpartition(".")[0] + ".",
        "cut": good[:-4],
        "critical header": signed(rsa_key(), "RS256", {"kid": "r", "crit": ["x"], "x": 1}),
        "two parts": "a.b",
        "nothing": "..",
        "huge": good + "A" * 9_000,
        "deep": raw({"alg": "HS256"}, {}).replace("e30", base64.urlsafe_b64encode(b"[" * 3_000).decode().rstrip("=")),
    }


def raw_hs256(header, claims, key):
    signing = raw(header, claims).rpartition(".")[0]
    signature = hmac.digest(key, signing.encode(), hashlib.sha256)
    return f"{signing}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


@pytest.mark.parametrize("kind", sorted(forged(None)))
def test_a_forged_token_is_refused(by_keys, by_secret, kind):
    for authentication in (by_keys, by_secret):
        with pytest.raises(Unauthenticated, match=r"^the token is (not valid|too long)$"):
            authentication.verify(forged(authentication)[kind])


def test_a_forged_token_is_answered_by_401(consumer, keys_path):
    app = create_app(settings_of(auth_jwt_keys=str(keys_path), kafka_backlog="all"), lambda: consumer)
    client = app.test_client()
    for token in forged(None).values():
        assert client.get("/api/predictions", headers=bearer(token)).status_code == 401
    good = signed(rsa_key(), "RS256", {"kid": "r"})
    assert client.get("/api/predictions", headers=bearer(good)).status_code == 200
    assert client.get("/metrics", headers=bearer(good)).status_code == 403


@pytest.mark.parametrize(
    "make",
    [
        lambda: b"{}",
        lambda: b"{",
        lambda: b'{"keys": []}',
        lambda: b'{"keys": 1}',
        lambda: key_set({"kty": "oct", "k": "c2VjcmV0", "kid": "x"}),
        lambda: key_set(jwk(rsa_key(), "x", use="enc")),
        lambda: key_set(jwk(rsa_key(), "x", alg="RS512")),
        lambda: key_set(jwk(rsa_key(), "x", d="AQAB")),
        lambda: key_set(jwk(rsa.generate_private_key(65_537, 1_024), "x")),
        lambda: key_set(jwk(ec.generate_private_key(ec.SECP384R1()), "x")),
        lambda: b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        lambda: b" " * (MAX_BYTES + 1),
    ],
)
def test_keys_that_can_not_be_used_are_refused(make):  # keys take long to make, which collecting need not
    with pytest.raises(ValueError, match=r"."):
        read_keys(make())


def test_a_file_of_keys_is_checked_at_the_start(tmp_path):
    with pytest.raises(
        SettingsError, match=r"AUTH_JWT_KEYS='.*nowhere' can't be used: .*; allowed: a file with a key set"
    ):
        Authentication(settings_of(auth_jwt_keys=str(tmp_path / "nowhere"))).load()


class Issuer:
    """Answers for the URL of a key set."""

    def __init__(self):
        self.clock = Clock()
        self.keys = [jwk(rsa_key(), "a")]
        self.requests = 0
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.url = KeyUrl("https://id/keys", self.fetch, self.clock)
        self.verifier = Jwts(settings_of(auth_jwt_keys="https://id/keys"), self.url)

    def fetch(self, _):
        self.requests += 1
        assert self.may_answer.wait(60)
        if not self.keys:
            raise OSError("away")
        return key_set(*self.keys)

    def verify(self, kid):
        return self.verifier.find(signed(rsa_key(kid), "RS256", {"kid": kid})).name


def test_requests_do_not_wait_for_the_first_keys():
    issuer = Issuer()
    issuer.may_answer.clear()
    with pytest.raises(ServiceUnavailable):
        issuer.verify("a")
    issuer.may_answer.set()
    issuer.url.join()
    assert issuer.verify("a") == "ann"


def test_an_unknown_key_is_looked_for_once_in_a_while():
    issuer = Issuer()
    issuer.url.prepare()
    issuer.url.join()
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            issuer.verify("b")
    assert issuer.requests == 1
    issuer.keys.append(jwk(rsa_key("b"), "b"))
    issuer.clock.now += RETRY_SECONDS
    issuer.may_answer.clear()
    with pytest.raises(Unauthenticated):
        issuer.verify("b")
    issuer.may_answer.set()
    issuer.url.join()
    assert issuer.verify("b") == "ann"
    assert issuer.requests == 2


def test_keys_stay_while_the_issuer_is_away(caplog):
    issuer = Issuer()
    issuer.url.prepare()
    issuer.url.join()
    issuer.keys = []
    issuer.clock.now += 10_000
    issuer.url.prepare()
    issuer.url.join()
    assert issuer.url.find("a")
    assert "can't be fetched: away; those that are known stay valid" in caplog.text


@pytest.mark.parametrize("status", [200, 302, 500])
def test_a_key_set_is_fetched_without_redirects(integration, status):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Location", "http://127.0.0.1:1/")
            self.end_headers()
            self.wfile.write(b"x" * 2 * MAX_BYTES)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/keys"
        if status == 200:
            assert len(fetch_keys(url)) == MAX_BYTES + 1
        else:
            with pytest.raises(OSError, match=str(status)):
                fetch_keys(url)
        thread.join()


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "AUTH_JWT_KEYS='' can't be used; .*either AUTH_JWT_KEYS or AUTH_JWT_SECRET"),
        ({"AUTH_JWT_SECRET": SECRET, "AUTH_JWT_KEYS": "x"}, "either"),
        ({"AUTH_JWT_SECRET": "short"}, r"AUTH_JWT_SECRET=\(not shown\) can't be used.*shorter than 32 bytes"),
        ({"AUTH_JWT_KEYS": "http://id/keys"}, "keys are fetched by https"),
        ({"AUTH_JWT_KEYS": "https://u:p@id/keys"}, "without a log-in"),
        ({"AUTH_JWT_SECRET": SECRET}, "AUTH_JWT_AUDIENCE=''"),
    ],
)
def test_wrong_settings_are_refused(environ, said):
    with pytest.raises(SettingsError, match=said):
        load({"AUTH": "jwt", **environ})


@pytest.mark.parametrize("path", ["/predictions/stream", "/api/predictions/stream?topic=x"])
def test_an_event_source_waits_for_the_first_keys(consumer, live, monkeypatch, path):
    may_answer = threading.Event()

    def fetch(_):
        assert may_answer.wait(60)
        return key_set(jwk(rsa_key(), "r"))

    monkeypatch.setattr("web.access.keys.fetch_keys", fetch)
    app = create_app(settings_of(auth_jwt_keys="https://id/keys"), lambda: consumer)
    client = app.test_client()
    headers = bearer(signed(rsa_key(), "RS256", {"kid": "r"}))
    assert client.get("/api/predictions", headers=headers).status_code == 503
    answer = client.get(path, headers=headers)
    assert (answer.status_code, answer.mimetype) == (200, "text/event-stream")
    assert re.search(rb"^retry: \d+\n", answer.data, re.MULTILINE)
    expected = {"type": "busy", "message": "the keys for tokens are not known yet; retry"}
    assert events_of([answer.data]) == [(None, expected)]
    may_answer.set()
    eventually(lambda: client.get("/api/predictions", headers=headers).status_code == 200)
    with client.get("/predictions/stream", headers=headers) as stream:
        assert stream.status_code == 200
        assert events_of([next(iter(stream.response))])[0][1]["type"] == "connected"
    app.extensions["greenwave"].admission.close()
    consumer.feed.wake()
