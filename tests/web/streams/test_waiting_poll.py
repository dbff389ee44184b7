"""The stream of a long poll that holds no thread: what ends its wait, and what it then gives."""

import json
from concurrent.futures import Future

import pytest

from consumer.view.filters import EVERYTHING, Filter
from tests.web.streams.feeds import ONE_OF_FIVE, World
from web.answers.changes import Changes
from web.answers.views import SharedBodies
from web.streams.waiting_poll import FAILED, OK, Poll, WaitingPoll

SECONDS = 25.0
WITH = Filter(observations=True)


class Later:
    """Stands for other threads: runs what was submitted at run()."""

    def __init__(self):
        self.submitted = []

    def submit(self, function):
        future = Future()
        self.submitted.append(lambda: future.set_result(function()))
        return future

    def run(self):
        while self.submitted:
            self.submitted.pop(0)()


class Polls:
    """Long polls of one feed, at the clock of its world."""

    def __init__(self, world):
        self.world = world
        self.later = Later()
        self.shared = SharedBodies()
        self.encoded = 0

    def encode(self, changes, cursor, more):
        self.encoded += 1
        answer = changes.answer(cursor, more)
        items = {key: answer[key] for key in ("predictions", "observations") if key in answer}
        return json.dumps({**answer, **{key: [each.segment_id for each in items[key]] for key in items}}).encode()

    def open(self, wanted=EVERYTHING, limit=1000, world=None):
        """Return a poll that waits, and the cursor where it started."""
        cursor = self.world.subscriptions.subscribe(None, wanted, "poll").next(0)[-1].cursor
        own = self.world.subscriptions.subscribe(cursor, wanted, "poll")
        while own.read() or own.entries_behind or own.mark is None:
            pass
        poll = Poll(own, Changes(limit, wanted.observations), self.world.now + SECONDS, self.encode, (wanted,))
        waiting = WaitingPoll(
            poll, lambda status, body: (status.encode(), body.content), self.later.submit, self.shared
        )
        assert waiting.take(self.world.now) == b""
        assert (waiting.has_more, waiting.is_over, waiting.is_live) == (False, False, False)
        return waiting, own.cursor

    def answer(self, waiting):
        """Take the whole response; return its answer."""
        head, body = waiting.take(self.world.now), waiting.take(self.world.now)
        assert head == OK.encode()
        assert waiting.take(self.world.now) == b""
        assert waiting.is_over
        return json.loads(body)


@pytest.fixture
def polls():
    world = World()
    world.publish(5)
    return Polls(world)


def test_first_change_ends_the_wait(polls):
    waiting, cursor = polls.open()
    polls.world.publish(1)
    answer = polls.answer(waiting)
    assert (answer["predictions"], answer["left"], answer["more"]) == (["S0"], [], False)
    assert answer["cursor"] != cursor


def test_deadline_ends_the_wait_with_the_cursor(polls):
    waiting, cursor = polls.open()
    assert waiting.deadline == SECONDS
    polls.world.now = SECONDS - 0.01
    assert waiting.take(polls.world.now) == b""
    polls.world.now = SECONDS
    assert polls.answer(waiting) == {"predictions": [], "left": [], "cursor": cursor, "more": False}


def test_an_observation_ends_the_wait_of_those_that_ask_for_them(polls):
    (waiting, _), (plain, _) = polls.open(WITH), polls.open()
    polls.world.observe()
    answer = polls.answer(waiting)
    assert (answer["predictions"], answer["observations"], answer["more"]) == ([], ["S0"], False)
    assert plain.take(polls.world.now) == b""
    polls.world.publish(1)
    answer = polls.answer(plain)
    assert answer["predictions"] == ["S0"]
    assert "observations" not in answer


def test_records_that_do_not_match_do_not_end_the_wait(polls):
    waiting, cursor = polls.open(ONE_OF_FIVE)
    polls.world.publish(1)
    assert waiting.take(polls.world.now) == b""
    polls.world.publish(1)
    answer = polls.answer(waiting)
    assert answer["predictions"] == ["S1"]
    assert answer["cursor"] != cursor


def test_cursor_at_the_deadline_is_after_records_that_did_not_match(polls):
    waiting, cursor = polls.open(ONE_OF_FIVE)
    polls.world.publish(1)
    waiting.take(polls.world.now)
    polls.world.now = SECONDS
    answer = polls.answer(waiting)
    assert answer["predictions"] == []
    assert answer["cursor"] != cursor


def test_entries_are_read_in_steps_while_none_matches(polls):
    nothing = Filter(segments=frozenset({"nowhere"}))
    waiting, _ = polls.open(nothing)
    polls.world.publish(1_200)
    assert waiting.take(polls.world.now) == b""
    assert waiting.has_more
    while waiting.has_more:
        assert waiting.take(polls.world.now) == b""
    assert (waiting.is_over, waiting.entries_behind) == (False, 0)


def test_many_changes_are_answered_in_part_with_more(polls):
    waiting, _ = polls.open()
    polls.world.publish(1_000)
    answer = polls.answer(waiting)
    assert (len(answer["predictions"]), answer["more"]) == (200, True)


def test_limit_of_the_request_holds(polls):
    waiting, _ = polls.open(limit=3)
    polls.world.publish(5)
    answer = polls.answer(waiting)
    assert (answer["predictions"], answer["more"]) == (["S0", "S1", "S2"], True)


def test_polls_at_one_place_share_the_bytes_of_their_changes(polls):
    waiting = [polls.open()[0] for _ in range(3)]
    polls.world.publish(2)
    for each in waiting:
        each.take(polls.world.now)
    bodies = [each.take(polls.world.now) for each in waiting]
    assert bodies[0] is bodies[1] is bodies[2]
    assert polls.encoded == 1


def test_polls_of_other_places_filters_or_limits_share_no_bytes(polls):
    waiting = [polls.open()[0], polls.open(ONE_OF_FIVE)[0], polls.open(WITH)[0], polls.open(limit=1)[0]]
    polls.world.publish(2)
    waiting[0].take(polls.world.now)
    late, _ = polls.open()
    polls.world.publish(5)
    for each in (*waiting[1:], late):
        each.take(polls.world.now)
    bodies = [each.take(polls.world.now) for each in (*waiting, late)]
    assert [json.loads(each)["predictions"] for each in bodies] == [
        ["S0", "S1"],
        ["S1", "S1"],
        ["S0", "S1", "S2", "S3", "S4", "S0", "S1"],
        ["S0"],
        ["S2", "S3", "S4", "S0", "S1"],
    ]


def test_shared_changes_are_freed_with_the_last_poll(polls):
    waiting, _ = polls.open()
    polls.world.publish(1)
    polls.answer(waiting)
    assert len(polls.shared) == 1
    del waiting
    assert len(polls.shared) == 0


def test_view_after_a_gap_is_encoded_on_another_thread(polls):
    waiting, _ = polls.open()
    polls.world.begin()
    assert waiting.take(polls.world.now) == b""
    assert waiting.is_waiting
    assert polls.encoded == 0
    polls.later.run()
    answer = polls.answer(waiting)
    assert answer["gap"] == {"reason": "expired", "missed": 2}
    assert not waiting.is_waiting


def test_polls_that_get_the_same_view_share_its_bytes(polls):
    waiting = [polls.open()[0] for _ in range(3)] + [polls.open(ONE_OF_FIVE)[0]]
    polls.world.begin()
    for each in waiting:
        each.take(polls.world.now)
    polls.later.run()
    for each in waiting:
        each.take(polls.world.now)
    bodies = [each.take(polls.world.now) for each in waiting]
    assert bodies[0] is bodies[1] is bodies[2]
    assert bodies[3] is not bodies[0]
    assert polls.encoded == 2


def test_shared_view_is_freed_with_the_last_poll(polls):
    waiting, _ = polls.open()
    polls.world.begin()
    waiting.take(polls.world.now)
    polls.later.run()
    polls.answer(waiting)
    assert len(polls.shared) == 1
    polls.later.submitted.clear()
    del waiting
    assert len(polls.shared) == 0


def test_truncation_while_waiting_gives_the_view(polls):
    waiting, _ = polls.open()
    polls.world.truncate()
    waiting.take(polls.world.now)
    polls.later.run()
    assert polls.answer(waiting)["gap"]["reason"] == "truncated"


@pytest.mark.parametrize("is_encoding", [False, True])
def test_bye_is_an_empty_answer_with_the_cursor_before(polls, is_encoding):
    waiting, cursor = polls.open()
    if is_encoding:
        polls.world.begin()
        waiting.take(polls.world.now)
    last = waiting.bye()
    waiting.end(last)
    polls.later.run()
    assert waiting.take(polls.world.now) == last
    assert json.loads(last.removeprefix(OK.encode())) == {
        "predictions": [],
        "left": [],
        "cursor": cursor,
        "more": False,
    }
    assert waiting.take(polls.world.now) == b""
    assert waiting.is_over


def test_bye_has_observations_for_those_that_ask_for_them(polls):
    last = polls.open(WITH)[0].bye()
    assert json.loads(last.removeprefix(OK.encode()))["observations"] == []


def test_failure_is_a_500_in_json(polls):
    waiting, _ = polls.open()
    content = waiting.failure().removeprefix(FAILED.encode())
    assert json.loads(content)["success"] is False
