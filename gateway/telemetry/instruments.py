"""Counters and histograms as plain numbers, handed over when a scrape asks for them.

prometheus_client's own are made for threads: they take a lock for every number that they touch. These
belong to the event loop's thread, and a histogram takes many values in one go.
"""

import collections
import time
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import repeat
from math import inf
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector

__all__ = ["Count", "Counter", "Histogram", "Spread"]


class Count:
    """The total of one counter with its labels."""

    __slots__ = ("created", "value")

    def __init__(self) -> None:
        self.value = 0.0
        self.created = time.time()

    def add(self, amount: float = 1.0) -> None:
        """Count up."""
        self.value += amount


class Spread:
    """The values of one histogram with its labels: how many fell into each bucket, and their sum."""

    __slots__ = ("_bounds", "counts", "created", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = collections.Counter[int]()
        self.total = 0.0
        self.created = time.time()

    def observe(self, values: Sequence[float]) -> None:
        """Put values in; a bucket holds those up to and including its bound."""
        self.counts.update(map(bisect_left, repeat(self._bounds), values))
        self.total = sum(values, self.total)


C = TypeVar("C", Count, Spread)


class _Family(Collector, Generic[C]):
    """One metric: a child for each combination of label values that has come up."""

    kind: str

    def __init__(self, name: str, help_text: str, labels: Sequence[str], registry: CollectorRegistry) -> None:
        self._name = name
        self._help = help_text
        self._labels = tuple(labels)
        self._children: dict[tuple[str, ...], C] = {}
        if not labels:
            self.child(())
        registry.register(self)

    def child(self, labels: tuple[str, ...]) -> C:
        """Return the child for label values, in the order of the declaration."""
        return self._children.get(labels) or self._add(labels)

    def _add(self, labels: tuple[str, ...]) -> C:
        if len(labels) != len(self._labels):
            raise ValueError(f"{self._name} has the labels {self._labels}")
        child = self._children[labels] = self._make()
        return child

    def collect(self) -> Iterable[Metric]:
        """Return the family as it stands now."""
        metric = Metric(self._name, self._help, self.kind)
        for values, child in self._children.items():
            labels = dict(zip(self._labels, values, strict=True))
            self._sample(metric, labels, child)
            metric.add_sample(f"{self._name}_created", labels, child.created)
        yield metric

    def _make(self) -> C:
        raise NotImplementedError

    def _sample(self, metric: Metric, labels: dict[str, str], child: C) -> None:
        raise NotImplementedError


class Counter(_Family[Count]):
    """A number that only grows."""

    kind = "counter"

    def _make(self) -> Count:
        return Count()

    def _sample(self, metric: Metric, labels: dict[str, str], child: Count) -> None:
        metric.add_sample(f"{self._name}_total", labels, child.value)


class Histogram(_Family[Spread]):
    """A distribution over buckets; the one without a bound is added here."""

    kind = "histogram"

    def __init__(
        self,
        name: str,
        help_text: str,
        labels: Sequence[str],
        registry: CollectorRegistry,
        *,
        buckets: Sequence[float],
    ) -> None:
        self._bounds = (*buckets, inf)
        super().__init__(name, help_text, labels, registry)

    def _make(self) -> Spread:
        return Spread(self._bounds)

    def _sample(self, metric: Metric, labels: dict[str, str], child: Spread) -> None:
        seen = 0
        for bucket, bound in enumerate(self._bounds):
            seen += child.counts[bucket]
            metric.add_sample(f"{self._name}_bucket", {**labels, "le": _bound_text(bound)}, seen)
        metric.add_sample(f"{self._name}_count", labels, seen)
        metric.add_sample(f"{self._name}_sum", labels, child.total)


def _bound_text(bound: float) -> str:
    return "+Inf" if bound == inf else repr(float(bound))
