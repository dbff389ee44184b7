"""The inbox of the hub: other threads wake its thread, and write to no descriptor that was closed."""

import errno
import socket
import threading

from web.streams.inbox import Inbox


class SlowSocket(socket.socket):
    """A socket that waits in send(), as a thread does that has to wait for the interpreter there."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.has_begun, self.may_send = threading.Event(), threading.Event()

    def send(self, data, flags=0):
        descriptor = self.fileno()
        self.has_begun.set()
        assert self.may_send.wait(60)
        assert self.fileno() == descriptor, "it was closed, so the descriptor may be that of a client"
        return super().send(data, flags)


def test_a_byte_that_wakes_goes_to_no_closed_descriptor(monkeypatch):
    pair = [SlowSocket(fileno=each.detach()) for each in socket.socketpair()]
    monkeypatch.setattr(socket, "socketpair", lambda: tuple(pair))
    inbox, failures = Inbox(), []
    inbox.open()

    def wake():
        try:
            inbox.wake()
        except AssertionError as error:
            failures.append(error)

    waking, closing = threading.Thread(target=wake), threading.Thread(target=inbox.close)
    waking.start()
    assert pair[1].has_begun.wait(60)
    closing.start()
    closing.join(0.1)  # it would close here
    pair[1].may_send.set()
    waking.join(60)
    closing.join(60)
    assert failures == []
    assert [each.fileno() for each in pair] == [-1, -1]


def test_an_inbox_is_woken_while_it_is_closed_and_after():
    inbox = Inbox()
    inbox.wake()
    woken = inbox.open()
    for _ in range(100_000 // 4):  # more than the socket takes
        inbox.wake()
    assert woken.recv(1) == b"\0"
    inbox.close()
    inbox.wake()


def test_a_thread_that_has_news_goes_on_where_the_system_has_no_memory_for_the_byte(monkeypatch):
    class FullSocket(socket.socket):
        def send(self, data, flags=0):
            raise OSError(errno.ENOBUFS, "No buffer space available")

    pair = [FullSocket(fileno=each.detach()) for each in socket.socketpair()]
    monkeypatch.setattr(socket, "socketpair", lambda: tuple(pair))
    inbox = Inbox()
    inbox.open()
    inbox.is_asleep = True
    inbox.note_change()
    assert inbox.has_news
    inbox.close()
