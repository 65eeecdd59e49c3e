"""The breaker opens after failures in a row and lets one trial through at a time."""

from gateway.state.breaker import Breaker


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def broken(clock: Clock) -> Breaker:
    breaker = Breaker(threshold=3, pause=1.0, clock=clock)
    for _ in range(3):
        assert breaker.allow()
        breaker.failed()
    return breaker


def test_scattered_failures_do_not_open_it():
    breaker = Breaker(threshold=3, pause=1.0, clock=Clock())
    for _ in range(10):
        breaker.failed()
        breaker.failed()
        breaker.succeeded()
        assert breaker.allow()


def test_it_opens_after_failures_in_a_row_and_tries_one_call_after_the_pause():
    clock = Clock()
    breaker = broken(clock)
    assert not breaker.allow()
    clock.now += 0.99
    assert not breaker.allow()
    clock.now += 0.01

    assert [breaker.allow() for _ in range(3)] == [True, False, False]


def test_a_trial_that_fails_opens_it_again_and_one_that_succeeds_closes_it():
    clock = Clock()
    breaker = broken(clock)
    clock.now += 1.0
    assert breaker.allow()
    breaker.failed()
    assert not breaker.allow()
    clock.now += 1.0
    assert breaker.allow()
    breaker.succeeded()

    assert [breaker.allow() for _ in range(5)] == [True] * 5


def test_a_trial_that_never_ends_does_not_lock_it():
    clock = Clock()
    breaker = broken(clock)
    clock.now += 1.0
    assert breaker.allow()
    clock.now += 1.0

    assert breaker.allow()
