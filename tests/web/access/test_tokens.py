"""The tokens file: what it may hold, and that changes of it take effect."""

import hmac
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from consumer.errors import SettingsError
from consumer.settings import Settings
from consumer.view.filters import EVERYTHING, Box, Filter
from tests.cli.helpers import invoke as run
from tests.web.access.tokens_file import tokens_file
from web.access import tokens as module
from web.access.authentication import Authentication
from web.access.principal import Unauthenticated
from web.access.tokens import CHECK_SECONDS, Tokens, key_of, make_token, read_tokens

HASH = f'hash = "sha256:{"0" * 64}"\n'


class Clock:
    """A clock that moves when a test says so."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def settings_of(file, **others):
    return Settings(auth="token", auth_tokens_file=str(file.path), **others)


def limits(text, **settings):
    (principal,) = read_tokens(f"[x]\n{HASH}{text}".encode(), Settings(**settings)).values()
    return principal.limits


def test_a_token_is_found_with_its_claims(tmp_path):
    file = tokens_file(tmp_path / "t.toml", web={"roads": ["I-5 N"], "every": 5, "roles": ["operator"]})
    found = Tokens(settings_of(file)).find(file["web"])
    assert (found.name, found.every, found.roles) == ("web", 5, {"operator"})
    assert found.limits == Filter(roads=frozenset({"i-5 n"}))


def test_requests_wait_for_the_first_reading_of_the_file(tmp_path):
    file = tokens_file(tmp_path / "t.toml", web={})
    content, asked = file.path.read_bytes(), threading.Semaphore(0)
    file.path.unlink()
    os.mkfifo(file.path)  # as a slow disk

    def clock():
        asked.release()
        return 100.0

    tokens = Tokens(settings_of(file), clock)
    with ThreadPoolExecutor(2) as pool:
        found = [pool.submit(tokens.find, file["web"]) for _ in range(2)]
        with open(file.path, "wb") as writer:  # waits until one reads
            assert all(asked.acquire(timeout=60) for _ in found)
            writer.write(content)
    assert [getattr(each.result(), "name", None) for each in found] == ["web", "web"]


def test_the_file_holds_no_token(tmp_path):
    file = tokens_file(tmp_path / "t.toml", web={})
    assert file["web"] not in file.path.read_text()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", EVERYTHING),
        ('segments = ["A"]', Filter(segments=frozenset({"A"}))),
        ("segments = []", Filter(segments=frozenset())),
        ("bbox = [1, 2, 3, 4]", Filter(box=Box(1, 2, 3, 4))),
        ('topics = ["traffic-predictions"]', EVERYTHING),
        ('topics = ["another"]', Filter(topics=frozenset())),
    ],
)
def test_claims_become_a_filter(text, expected):
    assert limits(text) == expected


def test_of_several_topics_the_claimed_ones_may_be_read():
    assert limits('topics = ["a"]', kafka_topic="a,b") == Filter(topics=frozenset({"a"}))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[x]\n", r"\[x\]: hash must be sha256: and 64 hexadecimal digits"),
        (f"[x]\n{HASH}road = 'I-5'", "unknown field `road`"),
        (f"[x]\n{HASH}roads = 'I-5'", r"Expected `array . null`, got `str` - at `\$.roads`"),
        (f"[x]\n{HASH}bbox = [0, 80, 1, 70]", "bbox must be west, south, east, north"),
        (f"[x]\n{HASH}bbox = [nan, 0, 1, 70]", "at `.*bbox"),
        (f"[x]\n{HASH}every = 0.5", "at `.*every`"),
        (f"[x]\n{HASH}roles = ['root']", "Invalid enum value 'root'"),
        (f"[x]\n{HASH}expires = 2027-01-01", "expires must be a time with an offset"),
        (f"[x]\n{HASH}[y]\n{HASH}", r"\[y\]: it has the hash of \[x\]"),
        (f"['a b']\n{HASH}", "a name has letters"),
        ("x = 1", "it is no table"),
        ("[x", "Expected"),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(text, said):
    with pytest.raises(ValueError, match=said):
        read_tokens(text.encode(), Settings())


@pytest.mark.parametrize("expires", ["9999-12-31T23:59:59-05:00", "9999-12-31T23:59:59.999999Z"])
def test_an_expiry_beyond_what_can_be_shown_is_the_last_that_can(expires):
    (principal,) = read_tokens(f"[x]\n{HASH}expires = {expires}".encode(), Settings()).values()
    assert principal.shown_expiry == "9999-12-31T23:59:59.000Z"


def test_a_large_file_is_refused():
    with pytest.raises(ValueError, match="larger than 262144 bytes"):
        read_tokens(b"#" * 262_145, Settings())


def test_a_missing_file_is_named_at_the_start(tmp_path):
    with pytest.raises(SettingsError, match=r"AUTH_TOKENS_FILE='.*nowhere' can't be used: .*make-token"):
        Tokens(Settings(auth="token", auth_tokens_file=str(tmp_path / "nowhere"))).load()


def test_a_change_takes_effect_at_the_next_check(tmp_path):
    file, clock = tokens_file(tmp_path / "t.toml", a={}, b={}), Clock()
    tokens = Tokens(settings_of(file), clock)
    first = tokens.find(file["a"])
    file.write(b={})
    assert tokens.has(first)
    clock.now += CHECK_SECONDS
    assert not tokens.has(first)
    assert tokens.find(file["a"]) is None
    assert tokens.find(file["b"]).name == "b"


def test_other_claims_end_what_the_former_ones_allowed(tmp_path):
    file, clock = tokens_file(tmp_path / "t.toml", a={}), Clock()
    tokens = Tokens(settings_of(file), clock)
    first = tokens.find(file["a"])
    file.write(a={"roads": ["I-5"]})
    clock.now += CHECK_SECONDS
    assert not tokens.has(first)
    assert tokens.has(tokens.find(file["a"]))


@pytest.mark.parametrize("content", ["[broken", "x = " + "[" * 100_000, None], ids=["broken", "deep", "missing"])
def test_a_file_that_broke_keeps_the_tokens_and_is_reported_once(tmp_path, caplog, content):
    file, clock = tokens_file(tmp_path / "t.toml", a={}), Clock()
    tokens = Tokens(settings_of(file), clock)
    assert tokens.find(file["a"])
    file.path.unlink() if content is None else file.path.write_text(content)
    for _ in range(3):
        clock.now += CHECK_SECONDS
        assert tokens.find(file["a"])
    assert [each.levelname for each in caplog.records if "stay valid" in each.message] == ["ERROR"]


def test_an_expired_token_is_refused(tmp_path):
    file, clock = tokens_file(tmp_path / "t.toml", a={}), Clock()
    file.path.write_text(file.path.read_text() + "\nexpires = 1970-01-01T00:03:20Z")
    authentication = Authentication(settings_of(file), clock)
    principal = authentication.verify(file["a"])
    assert authentication.is_valid(principal)
    clock.now = 200.0
    assert not authentication.is_valid(principal)
    with pytest.raises(Unauthenticated, match="the token has expired"):
        authentication.verify(file["a"])


@pytest.mark.parametrize("token", ["", "gw_", "x" * 8_193, "\udcff", "gw_\x00"])
def test_an_unusable_token_is_refused(tmp_path, token):
    file = tokens_file(tmp_path / "t.toml", a={})
    with pytest.raises(Unauthenticated, match=r"the token is (not valid|too long)"):
        Authentication(settings_of(file)).verify(token)


def test_tokens_are_compared_in_constant_time(tmp_path, monkeypatch):
    compared = []
    monkeypatch.setattr(module.hmac, "compare_digest", lambda a, b: compared.append((a, b)) or a == b)
    file = tokens_file(tmp_path / "t.toml", a={})
    tokens = Tokens(settings_of(file))
    assert tokens.find(file["a"])
    assert tokens.find("another") is None
    assert compared == [(key_of(file["a"]), key_of(file["a"])), (key_of("another"), bytes(32))]
    assert hmac is module.hmac


def invoke(*arguments):
    return run(Settings(), "make-token", *arguments)


def test_the_command_prints_a_token_and_a_table_that_is_read():
    options = ["--road", "I-5", "--segment", '"\\\n', "--bbox=1,2,3,4", "--role", "operator", "--expires", "2027-01-01"]
    output = invoke("web", *options).output
    token, table = output.split("shown only here: ")[1].split("\n\nadd to AUTH_TOKENS_FILE:\n\n")
    (principal,) = read_tokens(table.encode(), Settings()).values()
    assert principal.key == key_of(token)
    assert (principal.name, principal.roles, principal.expires_at) == ("web", {"operator"}, 1_798_761_600)
    wanted = Filter(frozenset({'"\\\n'}), roads=frozenset({"i-5"}), box=Box(1, 2, 3, 4))
    assert principal.limits == wanted


@pytest.mark.parametrize(("arguments", "said"), [(["a b"], "allowed: letters"), (["x", "--every", "99"], "every")])
def test_the_command_refuses_what_the_file_may_not_hold(arguments, said):
    answer = invoke(*arguments)
    assert answer.exit_code != 0
    assert said in answer.output


def test_tokens_differ():
    assert make_token() != make_token()
