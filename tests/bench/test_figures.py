"""The arithmetic: medians, ratios within a round, exponents."""

import msgspec
import pytest

from tests.bench import figures
from tests.bench.measure import Sample
from tests.bench.tools import Latency, LoadResult

SPREAD = Latency(count=9, mean=2_000, p50=2_000, p90=3_000, p99=4_000, p999=5_000, max=6_000)
LOAD = LoadResult(
    latency=SPREAD,
    first=SPREAD,
    mark=SPREAD,
    seconds=2.0,
    started=100,
    units=100,
    units_timed=80,
    marks=1_000,
    marks_timed=800,
    bytes=0,
    opened=10,
    bad_status=0,
    bad_body=0,
    lost_marks=0,
    closed=0,
    refused=0,
    unfinished=0,
)


def sample(name: str, workload: str = "W1", *, cpu: float | None = 1.0, **changes: object) -> Sample:
    load = msgspec.structs.replace(LOAD, **changes)
    return Sample(contestant=name, workload=workload, load=load, expected_marks=2_000, cpu_seconds=cpu)


def round_of(workload: str = "W1", **cpu: float) -> figures.Round:
    return {name: sample(name, workload, cpu=seconds) for name, seconds in cpu.items()}


def test_cpu_counts_every_answer_the_warm_up_included() -> None:
    assert figures.cpu_us(round_of(nginx=1.0), "nginx") == 10_000


def test_streams_count_chunks() -> None:
    assert figures.cpu_us(round_of("W2", nginx=1.0), "nginx") == 1_000
    assert figures.per_second(round_of("W2", nginx=1.0), "nginx") == 400
    assert figures.per_second(round_of("W1", nginx=1.0), "nginx") == 40


def test_ratio_is_taken_within_each_round() -> None:
    """A machine that is ten times slower in one round changes nothing."""
    rounds = [
        round_of(gateway=3.0, nginx=1.0),
        round_of(gateway=30.0, nginx=10.0),
        round_of(gateway=3.0, nginx=1.0),
    ]
    assert figures.paired_ratio(figures.cpu_us, rounds, "gateway", "nginx") == pytest.approx(3.0)


def test_ratio_needs_both_in_the_same_round() -> None:
    rounds = [round_of(gateway=3.0), round_of(nginx=1.0)]
    assert figures.paired_ratio(figures.cpu_us, rounds, "gateway", "nginx") is None


def test_median_leaves_out_rounds_without_the_figure() -> None:
    rounds = [round_of(nginx=1.0), round_of(other=9.0), round_of(nginx=3.0), round_of(nginx=2.0)]
    assert figures.median(figures.cpu_us, rounds, "nginx") == 20_000
    assert figures.median(figures.cpu_us, rounds, "nobody") is None


def test_a_contestant_without_a_process_has_no_cpu() -> None:
    assert figures.cpu_us({"direct": sample("direct", cpu=None)}, "direct") is None


def test_added_latency_is_what_the_direct_way_does_not_have() -> None:
    slower = msgspec.structs.replace(SPREAD, p50=2_750)
    round_ = {"direct": sample("direct"), "nginx": sample("nginx", latency=slower)}
    assert figures.added_p50_ms(round_, "nginx") == pytest.approx(0.75)
    assert figures.added_p50_ms(round_, "direct") is None
    assert figures.added_p50_ms({"nginx": round_["nginx"]}, "nginx") is None


def test_delivered_is_a_share_of_what_was_expected() -> None:
    assert figures.delivered(round_of(nginx=1.0), "nginx") == 0.5


def test_memory_is_spread_over_the_open_streams() -> None:
    grown = msgspec.structs.replace(sample("nginx"), resident_before=1_000_000, resident_peak=1_250_000)
    assert figures.kilobytes_each({"nginx": grown}, "nginx") == 25


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_exponent_of_a_power_law(power: float) -> None:
    sizes = [1, 10, 100, 1_000, 10_000]
    assert figures.exponent(sizes, [7 * size**power for size in sizes]) == pytest.approx(power)


def test_exponent_of_noise_around_a_constant_is_near_zero() -> None:
    assert abs(figures.exponent([1, 10, 100, 1_000], [100, 104, 97, 101])) < 0.02
