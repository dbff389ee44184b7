"""The address of a client behind trusted proxies."""

import pytest

from consumer.errors import SettingsError
from consumer.settings import load, networks
from web.limits.addresses import LOCAL, ClientAddresses, client_address, name_at, parse

TRUSTED = networks("10.0.0.0/8, 2001:db8::1")


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("10.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "198.51.100.1, 203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "203.0.113.7, 10.0.0.2", "203.0.113.7"),
        ("10.0.0.1", "203.0.113.7:4711", "203.0.113.7"),
        ("10.0.0.1", "[2001:db8::7]:4711", "2001:db8::7"),
        ("2001:db8::1", "::ffff:203.0.113.7", "203.0.113.7"),
        ("::ffff:10.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "10.0.0.2, 10.0.0.3", "10.0.0.2"),
        ("10.0.0.1", "203.0.113.7, unknown", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.7, unknown, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", ",,,", "10.0.0.1"),
        ("10.0.0.1", "evil\r\nX: y", "10.0.0.1"),
        ("198.51.100.9", "203.0.113.7", "198.51.100.9"),
        ("10.0.0.1", "2001:db8::7%x\x1b[31m", "2001:db8::7"),
        ("", "198.51.100.1, 203.0.113.7", "203.0.113.7"),
        ("", "203.0.113.7, 10.0.0.2", "203.0.113.7"),
        ("", "unknown", ""),
    ],
)
def test_the_last_address_that_is_no_proxy_is_the_client(peer, forwarded, expected):
    assert client_address(peer, forwarded, TRUSTED) == expected


def test_no_proxy_is_trusted_by_default():
    assert peer_of("127.0.0.1", "203.0.113.7", load({}).trusted_proxies) == "127.0.0.1"
    assert peer_of("127.0.0.1", "203.0.113.7", "127.0.0.1") == "203.0.113.7"


def peer_of(peer, forwarded, trusted):
    seen = []
    environ = {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": forwarded}
    ClientAddresses(lambda environ, _: seen.append(environ["REMOTE_ADDR"]), trusted)(environ, None)
    return seen[0]


def test_a_long_header_is_read_from_its_end():
    forwarded = ",".join(["198.51.100.1"] * 100_000 + ["203.0.113.7"])
    assert client_address("10.0.0.1", forwarded, TRUSTED) == "203.0.113.7"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("", LOCAL),
    ],
)
def test_an_ipv6_client_is_counted_by_its_network(text, expected):
    assert name_at(text) == expected


@pytest.mark.parametrize("text", ["", "unix:", "_hidden", "1.2.3", "[::1", "1.2.3.4.5:80"])
def test_other_text_is_no_address(text):
    assert parse(text) is None or str(parse(text)) == "::1"


@pytest.mark.parametrize("name", ["TRUSTED_PROXIES", "CLIENT_LIMITS_EXEMPT"])
@pytest.mark.parametrize("value", ["10.0.0.1/8", "proxy.example.org", "*", "10.0.0.0/33"])
def test_settings_with_other_than_networks_are_refused(name, value):
    with pytest.raises(SettingsError, match=f"{name}=.*allowed: a comma list of addresses and networks"):
        load({name: value})
