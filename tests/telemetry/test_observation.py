"""The times of a request, in seconds since it began."""

import pytest

from gateway.telemetry.observation import Observation


def _begun(seconds: float) -> Observation:
    """Return the observation of a request that began some seconds ago."""
    observed = Observation("r1")
    observed.started -= seconds
    return observed


def test_the_overhead_is_what_was_not_spent_on_providers() -> None:
    observed = _begun(1.0)
    observed.end(0.25)
    assert 1.0 <= observed.duration < 2.0
    assert observed.upstream_seconds == 0.25
    assert observed.overhead == pytest.approx(observed.duration - 0.25, abs=2e-6)


def test_calls_at_once_cannot_make_the_overhead_negative() -> None:
    observed = _begun(1.0)
    observed.end(5.0)
    assert observed.overhead == 0.0


def test_without_a_provider_there_is_no_overhead() -> None:
    observed = _begun(1.0)
    observed.end(0.0)
    assert (observed.upstream_seconds, observed.overhead) == (None, None)


def test_the_first_event_is_noted_once() -> None:
    observed = _begun(1.0)
    assert observed.first_event is None
    observed.saw_first_event()
    first = observed.first_event
    assert first is not None
    assert 1.0 <= first < 2.0
    observed.started -= 1.0
    observed.saw_first_event()
    assert observed.first_event == first
