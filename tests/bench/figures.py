"""The arithmetic of the comparison: figures of a sample, paired ratios, growth exponents."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence

from tests.bench.measure import Sample

__all__ = [
    "Figure",
    "Round",
    "added_p50_ms",
    "cpu_us",
    "delivered",
    "exponent",
    "first_p50_ms",
    "help_seconds",
    "idle_megabytes",
    "kilobytes_each",
    "lost",
    "mark_p50_us",
    "mark_p99_ms",
    "median",
    "p50_ms",
    "paired_ratio",
    "per_second",
    "ready_seconds",
    "seen",
]

Round = Mapping[str, Sample]
"""One pass over all contestants of a workload, by name."""

Figure = Callable[[Round, str], float | None]
"""A figure of one contestant in one round; None where it has none."""


def median(figure: Figure, rounds: Sequence[Round], name: str) -> float | None:
    """The median of a figure over the rounds that have it."""
    values = [value for round_ in rounds if name in round_ and (value := figure(round_, name)) is not None]
    return statistics.median(values) if values else None


def paired_ratio(figure: Figure, rounds: Sequence[Round], name: str, against: str) -> float | None:
    """The median of the ratios within each round: what disturbs a round disturbs both sides of it."""
    ratios = []
    for round_ in rounds:
        if name not in round_ or against not in round_:
            continue
        above, below = figure(round_, name), figure(round_, against)
        if above is not None and below:
            ratios.append(above / below)
    return statistics.median(ratios) if ratios else None


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """The slope of log cost over log size by least squares: 0 is flat, 1 is linear."""
    xs, ys = [math.log(size) for size in sizes], [math.log(cost) for cost in costs]
    return statistics.linear_regression(xs, ys).slope


def per_second(round_: Round, name: str) -> float | None:
    """Chunks a second where there are chunks in number, else answers a second."""
    load = round_[name].load
    if load is None:
        return None
    return (load.marks_timed if _counts_chunks(round_[name]) else load.units_timed) / load.seconds


def cpu_us(round_: Round, name: str) -> float | None:
    """Microseconds of the contestant's CPU per chunk or per answer."""
    sample = round_[name]
    if sample.load is None or sample.cpu_seconds is None:
        return None
    units = sample.load.marks if _counts_chunks(sample) else sample.load.units
    return sample.cpu_seconds / units * 1e6 if units else None


def p50_ms(round_: Round, name: str) -> float | None:
    """The median latency of an answer, in milliseconds."""
    load = round_[name].load
    return load.latency.p50 / 1e3 if load and load.latency else None


def added_p50_ms(round_: Round, name: str) -> float | None:
    """The median latency less that of the direct connection in the same round."""
    through, direct = p50_ms(round_, name), p50_ms(round_, "direct") if "direct" in round_ else None
    return through - direct if through is not None and direct is not None and name != "direct" else None


def first_p50_ms(round_: Round, name: str) -> float | None:
    """The median time to the first chunk, in milliseconds."""
    load = round_[name].load
    return load.first.p50 / 1e3 if load and load.first else None


def mark_p50_us(round_: Round, name: str) -> float | None:
    """The median time a chunk is under way, in microseconds."""
    load = round_[name].load
    return load.mark.p50 if load and load.mark else None


def mark_p99_ms(round_: Round, name: str) -> float | None:
    """The 99th percentile of the time a chunk is under way, in milliseconds."""
    load = round_[name].load
    return load.mark.p99 / 1e3 if load and load.mark else None


def delivered(round_: Round, name: str) -> float | None:
    """The share of the chunks that arrived before the end of the measured time."""
    sample = round_[name]
    return sample.load.marks / sample.expected_marks if sample.load and sample.expected_marks else None


def lost(round_: Round, name: str) -> float | None:
    """Chunks that never came."""
    load = round_[name].load
    return float(load.lost_marks) if load else None


def kilobytes_each(round_: Round, name: str) -> float | None:
    """Resident memory gained per open stream, in kB."""
    sample = round_[name]
    if sample.load is None or sample.cpu_seconds is None or not sample.load.opened:
        return None
    return (sample.resident_peak - sample.resident_before) / sample.load.opened / 1e3


def idle_megabytes(round_: Round, name: str) -> float | None:
    """Resident memory after the first answer, in MB."""
    return round_[name].resident_before / 1e6 or None


def ready_seconds(round_: Round, name: str) -> float | None:
    """From the start of the process to its first answer."""
    return round_[name].ready_seconds or None


def help_seconds(round_: Round, name: str) -> float | None:
    """How long the command line takes to show its help."""
    return round_[name].help_seconds


def seen(name: str) -> Figure:
    """A figure that only one kind of workload has, by its name."""
    return lambda round_, contestant: round_[contestant].seen.get(name)


def _counts_chunks(sample: Sample) -> bool:
    return sample.workload.startswith(("W2", "W3"))
