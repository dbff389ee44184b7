"""Token buckets per client, in a table of bounded size."""

from web.limits.rates import Rates


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_client_may_use_ten_seconds_at_once_and_then_its_rate():
    clock = Clock()
    rates = Rates(2, clock=clock)
    assert [rates.take("a") for _ in range(20)] == [0.0] * 20
    assert rates.take("a") == 0.5
    assert rates.take("b") == 0.0
    clock.now += 0.5
    assert rates.take("a") == 0.0
    assert rates.take("a") == 0.5


def test_a_client_can_be_asked_for_without_taking_anything():
    clock = Clock()
    rates = Rates(0.2, clock=clock)
    assert [rates.wait("a"), rates.wait("a"), len(rates)] == [0.0, 0.0, 0]
    assert [rates.take("a"), rates.take("a")] == [0.0, 0.0]
    assert [rates.wait("a"), rates.wait("a"), rates.take("a")] == [5.0, 5.0, 5.0]
    clock.now += 5
    assert [rates.wait("a"), rates.take("a"), rates.wait("a")] == [0.0, 0.0, 5.0]
    assert Rates(0).wait("a") == 0.0


def test_an_idle_client_saves_no_more_than_ten_seconds():
    clock = Clock()
    rates = Rates(2, clock=clock)
    rates.take("a")
    clock.now += 3_600
    assert sum(rates.take("a") == 0 for _ in range(100)) == 20


def test_a_rate_below_one_per_ten_seconds_allows_one():
    assert Rates(0.01).take("a") == 0.0


def test_a_rate_of_zero_allows_any():
    rates = Rates(0)
    assert not any(rates.take("a") for _ in range(10_000))
    assert len(rates) == 0


def test_memory_is_bounded_whatever_addresses_come():
    rates = Rates(1, max_clients=100)
    for number in range(10_000):
        rates.take(str(number))
    assert len(rates) == 100
