import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import Counter as TheirCounter
from prometheus_client import Histogram as TheirHistogram

from gateway.telemetry.instruments import Counter, Histogram

_BOUNDS = (0.1, 1.0, 2.5)
_values = st.lists(st.sampled_from((0.0, 0.05, 0.1, 0.5, 1.0, 2.0, 2.5, 3.0, 1e9)))


def _text(registry: CollectorRegistry) -> list[bytes]:
    """The exposition without the moments of creation."""
    return [
        line
        for line in generate_latest(registry).split(b"\n")
        if not (b"_created" in line and line[:1] != b"#")
    ]


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=3), _values, max_size=3))
def test_a_histogram_reads_as_prometheus_clients_own(values: dict[str, list[float]]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    mine = Histogram("seconds", "How long.", ["op"], ours, buckets=_BOUNDS)
    other = TheirHistogram("seconds", "How long.", ["op"], registry=theirs, buckets=_BOUNDS)
    for label, series in values.items():
        mine.child((label,))
        other.labels(label)
        for value in series:
            other.labels(label).observe(value)
        for chunk in (series[:1], series[1:]):
            mine.child((label,)).observe(chunk)
    assert _text(ours) == _text(theirs)


@pytest.mark.parametrize("labels", [(), ("op", "by")])
def test_a_counter_reads_as_prometheus_clients_own(labels: tuple[str, ...]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    mine = Counter("calls", "How many.", labels, ours)
    other = TheirCounter("calls", "How many.", labels, registry=theirs)
    assert _text(ours) == _text(theirs)
    mine.child(labels).add()
    mine.child(labels).add(2.5)
    (other.labels(*labels) if labels else other).inc(3.5)
    assert _text(ours) == _text(theirs)


def test_labels_that_were_not_declared_are_refused() -> None:
    counter = Counter("calls", "How many.", ["op"], CollectorRegistry())
    with pytest.raises(ValueError, match="labels"):
        counter.child(("a", "b"))
