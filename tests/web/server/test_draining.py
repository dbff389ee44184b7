"""The steps of a drain, by a clock of the test."""

from web.server.draining import ACCEPT_SECONDS, Drain


class Clock:
    now = 1_000.0

    def __call__(self):
        return self.now


def test_streams_begin_to_end_after_a_quarter_of_the_time():
    clock = Clock()
    drain = Drain(clock)
    assert not drain.is_begun
    assert drain.begin(20) == (5, 20)
    assert drain.is_begun
    clock.now += 4.9
    assert not drain.is_over(streams=0), "load balancers have not noticed yet"
    clock.now += 0.1
    assert drain.is_over(streams=0)
    assert not drain.is_over(streams=1)
    clock.now += 15
    assert drain.is_over(streams=1)


def test_a_draining_worker_accepts_in_few_turns_of_its_loop():
    clock = Clock()
    drain = Drain(clock)
    assert drain.accepts
    drain.begin(20)
    turns = []
    for _ in range(20):
        drain.next_turn()
        turns.append(drain.accepts)
        clock.now += ACCEPT_SECONDS / 8
    assert turns == [number % 8 == 0 for number in range(20)]
