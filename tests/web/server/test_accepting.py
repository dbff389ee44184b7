"""Accepting connections, within a limit of open sockets."""

import errno

import pytest

from web.server.accepting import ACCEPTS_PER_TURN, Acceptor

ADDRESS = ("127.0.0.1", 8000)


class Listener:
    """A listening socket with connections that wait, or whose accept() fails."""

    def __init__(self, waiting=0, error=errno.EAGAIN):
        self._waiting = list(range(waiting))
        self._error = error

    def getsockname(self):
        return ADDRESS

    def accept(self):
        if not self._waiting:
            raise OSError(self._error, errno.errorcode[self._error])
        number = self._waiting.pop(0)
        return number, ("127.0.0.2", number)


class Accepting:
    """An acceptor with a limit of 30, and what it has accepted; `closable` connections can make room."""

    def __init__(self):
        self.accepted = []
        self.closable = 0
        self.warnings = []
        self.acceptor = Acceptor(30, lambda: len(self.accepted), self._make_room, self._on_accept, self._warn)

    def turn(self, listener):
        self.acceptor.accept(listener)
        return len(self.accepted)

    def _make_room(self):
        if not self.closable:
            return False
        self.closable -= 1
        self.accepted.pop(0)
        return True

    def _on_accept(self, sock, client, server):
        assert (client, server) == (("127.0.0.2", sock), ADDRESS)
        self.accepted.append(sock)

    def _warn(self, text, *args):
        self.warnings.append(text % args)


@pytest.fixture
def accepting():
    return Accepting()


def test_one_turn_accepts_a_bounded_number(accepting):
    listener = Listener(ACCEPTS_PER_TURN + 3)
    turns = [accepting.turn(listener) for _ in range(3)]
    assert turns == [ACCEPTS_PER_TURN, ACCEPTS_PER_TURN + 3, ACCEPTS_PER_TURN + 3]
    assert not accepting.acceptor.is_paused


def test_accepting_pauses_at_the_limit_without_room(accepting):
    listener = Listener(40)
    assert [accepting.turn(listener) for _ in range(3)] == [16, 29, 29]
    assert accepting.acceptor.is_paused


def test_one_connection_is_closed_for_one_new_one(accepting):
    listener = Listener(40)
    accepting.turn(listener), accepting.turn(listener)
    accepting.closable = 2
    assert accepting.turn(listener) == 29
    assert accepting.accepted == list(range(1, 30)), "one turn closes one connection"
    assert accepting.closable == 1
    assert not accepting.acceptor.is_paused


def test_without_a_descriptor_accepting_pauses_and_warns_once(accepting):
    for _ in range(2):
        accepting.turn(Listener(error=errno.EMFILE))
    assert accepting.acceptor.is_paused
    assert accepting.warnings == ["connections can't be accepted: [Errno 24] EMFILE; 0 are open"]


def test_a_connection_lost_before_accept_is_ignored(accepting):
    accepting.turn(Listener(error=errno.ECONNABORTED))
    assert not accepting.acceptor.is_paused
    assert accepting.warnings == []


def test_another_error_of_accept_is_raised(accepting):
    with pytest.raises(OSError, match="EBADF"):
        accepting.turn(Listener(error=errno.EBADF))
