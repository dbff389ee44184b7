"""Which peers are fetched for a report."""

from bench import peers
from bench.peers.base import Peer


class Local(Peer):
    name = "local"

    @classmethod
    def fetch(cls):
        return "1.0"


class Remote(Local):
    name = "remote"

    @classmethod
    def fetch(cls):
        raise AssertionError("it was not measured")


def test_a_peer_that_was_not_measured_is_not_fetched(monkeypatch):
    monkeypatch.setattr(peers, "KINDS", {"local": Local, "remote": Remote})
    assert peers.versions({"local", "poll() alone"}) == {"local": "1.0"}
