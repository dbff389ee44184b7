"""Documents reach the receiver, signed, once it can take them; whatever it does, nothing else waits for it."""

import contextlib
import json
import logging
import threading

import pytest

from consumer.alerts import sender as module
from consumer.alerts.sender import WebhookSender
from consumer.alerts.webhook import WebhookDocument, headers_of
from consumer.settings import Settings
from demo.broker import free_port
from tests.consumer import helpers
from tests.consumer.alerts.receiver import (
    SECRET,
    FakeReceiver,
    close_connection,
    endless_body,
    hang,
    slow_status,
    status,
)

KEY = Settings(webhook_secret=SECRET).webhook_key


def eventually(condition):
    return helpers.eventually(condition, timeout=60)


@pytest.fixture
def receiver(integration):
    receiver = FakeReceiver()
    yield receiver
    receiver.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Retry at once."""
    monkeypatch.setattr(module, "FIRST_SECONDS", 0.01)
    monkeypatch.setattr(module, "LONGEST_SECONDS", 0.02)


@pytest.fixture
def start():
    """Start senders; they are stopped at the end."""
    with contextlib.ExitStack() as stack:

        def start(url):
            sender = WebhookSender(url, KEY)
            sender.start()
            stack.callback(sender.stop)
            return sender

        yield start


def document(number, segment=None):
    """Return a document of an alert of its own, or of that of a segment."""
    body = json.dumps({"number": number}).encode()
    return WebhookDocument(f"alert_{number}", body, (segment or f"S{number}", "severe"))


def counts(**results):
    return {"sent": 0, "failed": 0, "dropped": 0, "replaced": 0, **results}


def test_the_signature_is_that_of_the_specification():
    # The example that the libraries of Standard Webhooks test with.
    secret, text = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    signed = WebhookDocument("msg_p5jXN8AQM9LWM0D4loKWxJek", text, ("A", "severe"))
    assert headers_of(signed, Settings(webhook_secret=secret).webhook_key, 1614265330.9) == {
        "Content-Type": "application/json",
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_documents_arrive_in_order(receiver, start):
    sender = start(receiver.url)
    for number in range(20):
        sender.put(document(number))
    eventually(lambda: sender.counts["sent"] == 20)
    assert [each.document["number"] for each in receiver.received] == list(range(20))
    assert sender.counts == counts(sent=20)


@pytest.mark.parametrize(
    "fault",
    [status(500), status(503, Retry_After="1"), status(404), status(302, Location="/elsewhere"), close_connection],
    ids=["500", "503", "404", "redirect", "closed"],
)
def test_a_document_that_is_not_taken_is_sent_again_before_the_next(receiver, start, fault):
    receiver.faults = [fault, fault]
    sender = start(receiver.url)
    sender.put(document(1)), sender.put(document(2))
    eventually(lambda: sender.counts["sent"] == 2)
    assert receiver.ids == ["alert_1", "alert_1", "alert_1", "alert_2"]
    assert (sender.attempts_failed, sender.waiting) == (2, 0)


@pytest.mark.parametrize("fault", [hang, slow_status])
def test_an_answer_that_does_not_come_ends_the_attempt(receiver, start, monkeypatch, fault):
    monkeypatch.setattr(module, "REQUEST_SECONDS", 0.3)
    receiver.faults = [fault]
    sender = start(receiver.url)
    sender.put(document(1))
    eventually(lambda: sender.attempts_failed)
    monkeypatch.setattr(module, "REQUEST_SECONDS", 60.0)
    eventually(lambda: sender.counts["sent"] == 1)


def test_the_body_of_an_answer_is_not_read(receiver, start):
    receiver.faults = [endless_body]
    sender = start(receiver.url)
    sender.put(document(1))
    eventually(lambda: sender.counts["sent"] == 1)


def test_after_all_attempts_a_document_is_given_up(receiver, start, caplog):
    receiver.faults = [status(500)] * module.MAX_ATTEMPTS
    sender = start(receiver.url)
    sender.put(document(1)), sender.put(document(2))
    eventually(lambda: sender.counts == counts(sent=1, failed=1))
    assert receiver.ids == ["alert_1"] * module.MAX_ATTEMPTS + ["alert_2"]
    assert "webhook document alert_1 was given up" in caplog.text


def test_what_a_receiver_refuses_is_given_up_sooner(receiver, start):
    receiver.faults = [status(503)] * 5 + [status(400)] * module.MAX_REFUSED
    sender = start(receiver.url)
    sender.put(document(1)), sender.put(document(2))
    eventually(lambda: sender.counts == counts(sent=1, failed=1))
    assert receiver.ids == ["alert_1"] * (5 + module.MAX_REFUSED) + ["alert_2"]


def test_a_receiver_that_is_away_for_long_loses_nothing(receiver, start):
    receiver.faults = [status(code) for code in (429, 502, 503, 504, 408, 425)] * 5
    sender = start(receiver.url)
    sender.put(document(1)), sender.put(document(2))
    eventually(lambda: sender.counts == counts(sent=2))
    assert receiver.ids == ["alert_1"] * 31 + ["alert_2"]


def test_a_document_is_not_tried_for_ever(receiver, start, monkeypatch):
    monkeypatch.setattr(module, "AWAY_SECONDS", 0.0)
    receiver.faults = [status(503)]
    sender = start(receiver.url)
    sender.put(document(1)), sender.put(document(2))
    eventually(lambda: sender.counts == counts(sent=1, failed=1))


def test_nothing_more_is_sent_to_a_receiver_that_is_gone(receiver, start, caplog):
    held = threading.Event()
    receiver.faults = [lambda handler: held.wait(60) and status(410)(handler)]
    sender = start(receiver.url)
    sender.put(document(1)), sender.put(document(2)), sender.put(document(3))
    held.set()
    eventually(lambda: sender.is_gone)
    eventually(lambda: sender.counts == counts(failed=1, dropped=2))
    sender.put(document(4))
    assert sender.counts == counts(failed=1, dropped=3)
    assert (receiver.ids, sender.waiting) == (["alert_1"], 0)
    assert "127.0.0.1 answers 410: nothing more is sent to it before a restart" in caplog.text


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        ("0", 0),
        ("999999999999", 600),
        ("9" * 400, 600),
        ("Fri, 13 Feb 2009 23:31:37 GMT", 7),
        ("Fri, 13 Feb 2009 23:31:20 GMT", 0),
        ("Fri, 13 Feb 2099 23:31:20 GMT", 600),
        *((value, 0) for value in ("", "-1", "1.5", "soon", "²", "Fri, 99 Feb 2009 23:31:37 GMT", "1 Jan 1 0:0 +9999")),
    ],
)
def test_a_receiver_may_say_when_to_come_again(value, seconds):
    assert module._retry_after(value, now=1_234_567_890) == seconds


def test_the_next_attempt_comes_when_the_receiver_asks_for_it(receiver, start, monkeypatch):
    waits = []
    receiver.faults = [status(503, Retry_After="120"), status(400)]
    sender = WebhookSender(receiver.url, KEY)
    monkeypatch.setattr(sender._stopping, "wait", waits.append)
    sender.put(document(1))
    sender.start()
    eventually(lambda: sender.counts["sent"] == 1)
    sender.stop()
    assert waits[0] == 120
    assert waits[1] <= module.LONGEST_SECONDS


def test_each_attempt_has_its_own_time_and_the_same_id(receiver, start):
    times = iter([1_000.0, 2_000.0])
    receiver.faults = [status(500)]
    sender = WebhookSender(receiver.url, KEY, now=lambda: next(times))
    sender.start()
    sender.put(document(1))
    eventually(lambda: sender.counts["sent"] == 1)
    sender.stop()
    assert [(each.id, each.timestamp) for each in receiver.received] == [("alert_1", 1_000), ("alert_1", 2_000)]


def test_a_receiver_that_starts_later_gets_what_waits(receiver, start, monkeypatch):
    monkeypatch.setattr(module, "MAX_ATTEMPTS", 10**6)
    held = threading.Event()
    receiver.faults = [lambda handler: held.wait(60) and status(500)(handler)]
    sender = start(receiver.url)
    for number in range(3):
        sender.put(document(number))
    eventually(lambda: len(receiver.received) == 1)
    assert sender.waiting == 2
    held.set()
    eventually(lambda: sender.counts["sent"] == 3)


def test_a_receiver_that_restarts_gets_what_waits(start, monkeypatch, integration):
    monkeypatch.setattr(module, "MAX_ATTEMPTS", 10**6)
    port = free_port()
    sender = start(f"http://127.0.0.1:{port}/")
    for number in range(3):
        sender.put(document(number))
    eventually(lambda: sender.attempts_failed)
    receiver = FakeReceiver(port)
    eventually(lambda: sender.counts["sent"] == 3)
    receiver.close()
    assert receiver.ids == ["alert_0", "alert_1", "alert_2"]


def test_what_waits_is_bounded_and_what_is_dropped_is_counted(receiver, start, monkeypatch, caplog):
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    receiver.faults = [hang]
    sender = start(receiver.url)
    sender.put(document(0))
    eventually(lambda: receiver.received)
    for number in range(1, 9):
        sender.put(document(number))
    assert (sender.waiting, sender.counts["dropped"]) == (3, 5)
    assert "4 documents were dropped; now since 3 others wait" in caplog.text
    receiver.release.set()


def test_while_many_wait_the_newest_of_each_alert_does(receiver, start, monkeypatch):
    monkeypatch.setattr(module, "EACH_WAITING", 4)
    monkeypatch.setattr(module, "MAX_WAITING", 6)
    held = threading.Event()
    receiver.faults = [lambda handler: held.wait(60) and status(204)(handler)]
    sender = start(receiver.url)
    sender.put(document(0))
    eventually(lambda: receiver.received)
    for number in range(1, 100):
        sender.put(document(number, "ABC"[number % 3]))
    assert sender.waiting == 4
    held.set()
    eventually(lambda: sender.counts == counts(sent=5, replaced=95))
    assert receiver.ids == ["alert_0", "alert_1", "alert_97", "alert_98", "alert_99"]


def test_a_change_of_all_segments_at_once_arrives(receiver, start):
    sender = start(receiver.url)
    for number in range(3_000):
        sender.put(document(number))
    eventually(lambda: sender.counts["sent"] == 3_000)
    assert receiver.ids == [f"alert_{number}" for number in range(3_000)]


def test_what_waits_at_the_end_is_sent_once_more(receiver, start, monkeypatch):
    monkeypatch.setattr(module, "STOP_SECONDS", 60.0)
    monkeypatch.setattr(module, "FIRST_SECONDS", 600.0)
    monkeypatch.setattr(module, "LONGEST_SECONDS", 600.0)
    receiver.faults = [status(500)]
    sender = start(receiver.url)
    sender.put(document(1)), sender.put(document(2))
    eventually(lambda: sender.attempts_failed == 1)
    sender.stop()
    assert receiver.ids == ["alert_1", "alert_1", "alert_2"]
    assert sender.counts["sent"] == 2


def test_a_receiver_that_hangs_does_not_hold_up_the_end(receiver, start, monkeypatch):
    monkeypatch.setattr(module, "STOP_SECONDS", 0.2)
    receiver.faults = [hang]
    sender = start(receiver.url)
    sender.put(document(1)), sender.put(document(2))
    eventually(lambda: receiver.received)
    sender.stop()
    eventually(lambda: not sender._thread.is_alive())
    assert sender.counts == counts(failed=1, dropped=1)


def test_no_secret_gets_into_the_log(receiver, start, caplog):
    caplog.set_level(logging.DEBUG)
    receiver.faults = [status(500), close_connection]
    sender = start(receiver.url)
    sender.put(document(1))
    eventually(lambda: sender.counts["sent"] == 1)
    eventually(lambda: "webhook: 127.0.0.1 answers 204" in caplog.text)
    assert "webhook: 127.0.0.1 answers 500" in caplog.text
    assert caplog.text.count("answers") == 2, "once for each change"
    for secret in ("in-the-url", SECRET, SECRET.removeprefix("whsec_"), "v1,"):
        assert secret not in caplog.text


@pytest.mark.parametrize(
    ("url", "port"), [("http://[::1]/hook", 80), ("https://[::1]/hook", 443), ("http://[::1]:8/", 8)]
)
def test_an_address_of_ipv6_needs_no_port(monkeypatch, url, port):
    asked = []

    def refuse(address, *_, **__):
        asked.append(address[:2])
        raise ConnectionRefusedError

    monkeypatch.setattr("http.client.socket.create_connection", refuse)
    WebhookSender(url, b"key")._post(document(1))
    assert asked == [("::1", port)]
