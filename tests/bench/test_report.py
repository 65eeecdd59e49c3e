"""Verdicts, the table, and what is said about doubtful figures."""

import pytest
from rich.console import Console

from tests.bench import figures, report
from tests.bench.goals import ROWS, Row, Verdict, judge
from tests.bench.measure import Sample
from tests.bench.test_figures import round_of, sample
from tests.bench.workloads import catalogue

LESS = Row("W1", "CPU", figures.cpu_us, ",.1f", "nginx", 12, 6)
MORE = Row("W2", "rate", figures.per_second, ",.0f", "nginx", 0.7, 0.9, more_is_better=True)


@pytest.mark.parametrize(
    ("row", "value", "verdict"),
    [
        (LESS, 6.0, Verdict.GOAL),
        (LESS, 6.1, Verdict.FLOOR),
        (LESS, 12.0, Verdict.FLOOR),
        (LESS, 12.1, Verdict.MISSED),
        (MORE, 0.9, Verdict.GOAL),
        (MORE, 0.89, Verdict.FLOOR),
        (MORE, 0.69, Verdict.MISSED),
        (LESS, None, Verdict.NONE),
        (Row("W5", "rate", figures.per_second), 5.0, Verdict.NONE),
        (Row("W3-5000", "p99", figures.mark_p99_ms, goal=50), 51.0, Verdict.FLOOR),
    ],
)
def test_verdict(row: Row, value: float | None, verdict: Verdict) -> None:
    assert judge(row, value) is verdict


def test_every_row_belongs_to_a_workload_and_every_workload_has_a_row() -> None:
    assert {row.workload for row in ROWS} == {workload.name for workload in catalogue()}


def test_no_goal_is_easier_than_its_floor() -> None:
    for row in ROWS:
        if row.floor is not None and row.goal is not None:
            assert judge(row, row.goal) is Verdict.GOAL
            assert judge(row, row.floor) in {Verdict.GOAL, Verdict.FLOOR}


def test_table_shows_ratio_floor_goal_and_verdict() -> None:
    rounds = [round_of(direct=1.0, nginx=1.0, gateway=9.0)]
    console = Console(width=160)
    with console.capture() as shown:
        console.print(report.table({"W1": rounds}, ["direct", "nginx", "gateway"], "gateway"))
    line = next(line for line in shown.get().splitlines() if "CPU µs per answer" in line)
    assert [cell.strip() for cell in line.split("│")][3:-1] == [
        "10,000.0",
        "10,000.0",
        "90,000.0",
        "9 x nginx",
        "12 x",
        "6 x",
        "floor",
    ]


def test_wrong_answers_keep_no_goal() -> None:
    rounds = [{"nginx": sample("nginx"), "gateway": sample("gateway", bad_body=1)}]
    console = Console(width=160)
    with console.capture() as shown:
        console.print(report.table({"W1": rounds}, ["nginx", "gateway"], "gateway"))
    line = next(line for line in shown.get().splitlines() if "CPU µs per answer" in line)
    assert line.split("│")[-2].strip() == "errors"


def test_what_makes_a_figure_doubtful_is_said() -> None:
    wrong = sample("gateway", bad_body=3, unfinished=1)
    busy = Sample(contestant="nginx", workload="W1", harness_busy=0.99, disturbed=0.3)
    said = list(report.warnings({"W1": [{"gateway": wrong, "nginx": busy}]}))
    assert said == [
        "W1: gateway had 4 answers that were wrong, cut or never came",
        "W1: the harness was 99% busy; nginx may be faster than shown",
        "W1: others took up to 30% of the core while nginx was measured",
    ]
