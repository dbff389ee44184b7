"""Which headers of which proxies are trusted."""

from types import SimpleNamespace

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import InvalidHeader

from web.access import forwarded


def settings(allowed="10.0.0.0/8,::1"):
    config = Config()
    config.set("forwarded_allow_ips", allowed)
    return config


def applied(*headers, peer=("::1", 1, 0, 0), uri="/x?y", scheme="http"):
    """Return a request as it is after apply()."""
    request = SimpleNamespace(peer_addr=peer, uri=uri, path=uri.partition("?")[0], scheme=scheme, headers=list(headers))
    forwarded.apply(request, settings())
    return request


@pytest.mark.parametrize(
    ("peer", "allowed", "verdict"),
    [
        (("10.1.2.3", 1), "10.0.0.0/8", True),
        (("11.1.2.3", 1), "10.0.0.0/8", False),
        (("::ffff:10.1.2.3", 1, 0, 0), "10.0.0.0/8", True),
        (("::1", 1, 0, 0), "127.0.0.1,::1", True),
        (("192.0.2.1", 1), "*", True),
        ("", "10.0.0.1", True),  # a local socket
    ],
)
def test_only_allowed_proxies_are_trusted(peer, allowed, verdict):
    assert forwarded.is_trusted(peer, settings(allowed)) is verdict


@pytest.mark.parametrize(
    ("values", "scheme"),
    [
        (["https"], "https"),
        (["wss"], "https"),
        (["http"], "http"),
        (["https, http"], "http"),
        (["http", "HTTPS"], "https"),
    ],
)
def test_the_last_scheme_counts(values, scheme):
    assert applied(*(("X-FORWARDED-PROTO", value) for value in values)).scheme == scheme


@pytest.mark.parametrize(
    ("value", "prefix"), [("/a", "/a"), ("/a/b/", "/a/b"), ("/evil, /a", "/a"), ("/", ""), ("", "")]
)
def test_a_prefix_is_put_back(value, prefix):
    request = applied(("X-FORWARDED-PREFIX", value))
    assert (request.uri, request.path) == (f"{prefix}/x?y", f"{prefix}/x")
    assert dict(request.headers).get("SCRIPT_NAME", "") == prefix


@pytest.mark.parametrize("value", ["//evil.example", "evil", "/a b", "/a//b", "/a%2f", "https://evil.example"])
def test_a_prefix_that_is_no_path_is_refused(value):
    with pytest.raises(InvalidHeader):
        applied(("X-FORWARDED-PREFIX", value))


def test_nothing_is_trusted_of_others():
    headers = (("X-FORWARDED-PREFIX", "/a"), ("X-FORWARDED-PROTO", "https"))
    request = applied(*headers, peer=("192.0.2.1", 1))
    assert (request.uri, request.scheme, tuple(request.headers)) == ("/x?y", "http", headers)
