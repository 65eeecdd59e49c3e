"""What is promised: the rows of the table, with floors and goals where there are any."""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from tests.bench import figures
from tests.bench.figures import Figure, Round, seen

__all__ = ["ROWS", "Row", "Verdict", "achieved", "judge"]


class Verdict(StrEnum):
    """How a figure stands to its floor and goal."""

    GOAL = "goal"
    FLOOR = "floor"
    MISSED = "missed"
    ERRORS = "errors"
    NONE = ""


class Row(msgspec.Struct, frozen=True):
    """One figure of one workload. With `against` the ratio to that contestant is judged, else the value.

    A ratio is the subject's figure over the other's; where more is better, floor and goal are least values,
    otherwise greatest ones.
    """

    workload: str
    label: str
    figure: Figure
    form: str = ",.0f"
    against: str = ""
    floor: float | None = None
    goal: float | None = None
    more_is_better: bool = False


def achieved(row: Row, rounds: Sequence[Round], subject: str) -> float | None:
    """The number that floor and goal apply to; None when it was not measured."""
    if row.against:
        return figures.paired_ratio(row.figure, rounds, subject, row.against)
    return figures.median(row.figure, rounds, subject)


def judge(row: Row, value: float | None) -> Verdict:
    """Whether a value keeps the goal, the floor, or neither; a row without a floor has none to miss."""
    if value is None or (row.floor is None and row.goal is None):
        return Verdict.NONE
    if row.goal is not None and _keeps(row, value, row.goal):
        return Verdict.GOAL
    return Verdict.FLOOR if row.floor is None or _keeps(row, value, row.floor) else Verdict.MISSED


def _keeps(row: Row, value: float, limit: float) -> bool:
    return value >= limit if row.more_is_better else value <= limit


def _shared(workload: str, unit: str) -> tuple[Row, ...]:
    """Figures without a promise, for workloads that have none."""
    return (
        Row(workload, f"{unit}s a second", figures.per_second, against="nginx", more_is_better=True),
        Row(workload, f"CPU µs per {unit}", figures.cpu_us, ",.1f", "nginx"),
        Row(workload, "latency p50, ms", figures.p50_ms, ",.2f"),
    )


def _latency(workload: str) -> tuple[Row, ...]:
    return (
        Row(workload, "latency p50, ms", figures.p50_ms, ",.3f"),
        Row(workload, "added p50, ms", figures.added_p50_ms, ",.3f", "nginx", 3.5, 2),
        Row(workload, "added p50, ms", figures.added_p50_ms, ",.3f", "portkey", 1 / 4, 1 / 8),
        Row(workload, "added p50, ms", figures.added_p50_ms, ",.3f", "litellm", 1 / 15, 1 / 30),
    )


def _videos(workload: str, *soon: Row) -> tuple[Row, ...]:
    """Figures of many videos in flight; `soon` is what is promised of their ends."""
    return (
        Row(workload, "end to visible p50, s", seen("visible_p50_s"), ",.1f"),
        *soon,
        Row(workload, "polls per task", seen("polls_each"), ",.1f"),
        Row(workload, "most polls of an account a second", seen("polls_busiest"), ",.0f", "", 20, 20),
        Row(workload, "a task's polls, s apart", seen("poll_again_s"), ",.2f", "", 2, 2, more_is_better=True),
        Row(workload, "CPU ms per task", seen("cpu_ms_each"), ",.1f"),
        Row(workload, "chat p99 meanwhile, ms", seen("chat_p99_ms"), ",.1f", "", 100, 50),
        Row(workload, "chats that failed", seen("chat_errors"), ",.0f", "", 0, 0),
    )


def _over_eight_accounts(workload: str) -> tuple[Row, ...]:
    p99 = Row(workload, "end to visible p99, s", seen("visible_p99_s"), ",.1f", "", 10, 8)
    return _videos(workload, p99)


def _over_one_account(workload: str) -> tuple[Row, ...]:
    """All tasks take part in rounds, which are as long as the budget says."""
    p99 = Row(workload, "end to visible p99, s", seen("visible_p99_s"), ",.1f")
    rounds = Row(workload, "p99 x budget / tasks", seen("visible_p99_rounds"), ",.2f", "", 1.2, 1.1)
    return _videos(workload, p99, rounds)


ROWS: tuple[Row, ...] = (
    Row("W1", "answers a second", figures.per_second, against="nginx", more_is_better=True),
    Row("W1", "answers a second", figures.per_second, ",.0f", "litellm", 80, 200, more_is_better=True),
    Row("W1", "answers a second", figures.per_second, ",.0f", "portkey", 10, 25, more_is_better=True),
    Row("W1", "CPU µs per answer", figures.cpu_us, ",.1f", "nginx", 12, 6),
    Row("W2", "chunks a second", figures.per_second, ",.0f", "nginx", 0.7, 0.9, more_is_better=True),
    Row("W2", "CPU µs per chunk", figures.cpu_us, ",.2f", "nginx", 2.5, 1.8),
    Row("W2", "first chunk p50, ms", figures.first_p50_ms, ",.2f", "nginx"),
    Row(
        "W3-1000", "share of the chunks in time", figures.delivered, ".4f", "", 0.999, 1, more_is_better=True
    ),
    Row("W3-1000", "chunk p50, µs", figures.mark_p50_us, ",.0f", "nginx", 4, 2),
    Row("W3-1000", "chunk p99, ms", figures.mark_p99_ms, ",.2f"),
    Row("W3-1000", "CPU µs per chunk", figures.cpu_us, ",.1f", "nginx"),
    Row("W3-5000", "share of the chunks in time", figures.delivered, ".4f", "", None, 1, more_is_better=True),
    Row("W3-5000", "lost chunks", figures.lost, ",.0f", "", 0, 0),
    Row("W3-5000", "chunk p99, ms", figures.mark_p99_ms, ",.2f", "", None, 50),
    Row("W3-5000", "kB each", figures.kilobytes_each, ",.1f", "", None, 20),
    *_latency("W4-10"),
    *_latency("W4-50"),
    *_shared("W5", "answer"),
    *_shared("W6", "image"),
    Row("W7", "kB each", figures.kilobytes_each, ",.1f", "", 60, 20),
    *_shared("W8", "poll"),
    Row("W9", "start to first answer, s", figures.ready_seconds, ".2f", "", 1.5, 0.8),
    Row("W9", "idle memory, MB", figures.idle_megabytes, ",.1f", "", 90, 60),
    Row("W9", "--help, s", figures.help_seconds, ".2f", "", 0.3, 0.3),
    Row("W10", "a loan, SQLite, µs", seen("free_sqlite_us"), ",.1f", "", 50, 10),
    Row("W10", "a loan, memory, µs", seen("free_memory_us"), ",.1f", "", 50, 10),
    Row("W10", "with a limit, SQLite, µs", seen("limited_sqlite_us"), ",.1f", "", 50, 40),
    Row("W10", "with a limit, memory, µs", seen("limited_memory_us"), ",.1f", "", 50, 40),
    Row("W10", "with a limit, Valkey, round trips", seen("limited_valkey_trips"), ",.2f", "", 1, 1),
    Row("W11", "kB each", figures.kilobytes_each, ",.1f", "", 30, 20),
    *_over_eight_accounts("W12-8"),
    *_over_one_account("W12-1"),
    *_over_eight_accounts("W13-8"),
    *_over_one_account("W13-1"),
)
