"""The table on the terminal and the record beside it."""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
from rich.table import Table
from rich.text import Text

from tests.bench import figures
from tests.bench.figures import Round
from tests.bench.goals import ROWS, Row, Verdict, achieved, judge
from tests.bench.machine import FOLDER

__all__ = ["Results", "save", "table", "warnings"]

Results = Mapping[str, Sequence[Round]]
"""The rounds of each workload, by its name."""

_COLOURS = {
    Verdict.GOAL: "bold green",
    Verdict.FLOOR: "yellow",
    Verdict.MISSED: "bold red",
    Verdict.ERRORS: "bold red",
    Verdict.NONE: "",
}
_SATURATED = 0.95
_DISTURBED = 0.1


def table(results: Results, contestants: Sequence[str], subject: str) -> Table:
    """One row per figure: a column for each contestant, the judged number, floor, goal, verdict."""
    result = Table(title=f"medians; judged: {subject}", title_justify="left", header_style="bold")
    result.add_column("workload")
    result.add_column("figure")
    for name in contestants:
        result.add_column(name, justify="right", style="bold" if name == subject else "")
    for heading in ("judged", "floor", "goal"):
        result.add_column(heading, justify="right")
    result.add_column("verdict")
    before = ""
    for row in _rows(results, contestants):
        if row.workload != before:
            result.add_section()
        result.add_row(
            *_cells(row, results[row.workload], contestants, subject, show_name=row.workload != before)
        )
        before = row.workload
    return result


def warnings(results: Results) -> Iterator[str]:
    """What makes a figure doubtful: wrong answers, a harness that was itself the limit, a busy machine."""
    for workload, rounds in results.items():
        for name in sorted({name for round_ in rounds for name in round_}):
            yield from _doubts(workload, name, [round_ for round_ in rounds if name in round_])


def save(results: Results) -> Path:
    """Keep every sample as JSON, for a later comparison."""
    path = FOLDER / "results" / f"{time.strftime('%Y-%m-%d-%H%M%S')}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1))
    return path


def _doubts(workload: str, name: str, rounds: Sequence[Round]) -> Iterator[str]:
    if wrong := _wrong(rounds, name):
        yield f"{workload}: {name} had {wrong:,} answers that were wrong, cut or never came"
    busy = max(round_[name].harness_busy for round_ in rounds)
    if busy > _SATURATED and name != "direct":
        yield f"{workload}: the harness was {busy:.0%} busy; {name} may be faster than shown"
    disturbed = max(round_[name].disturbed for round_ in rounds)
    if disturbed > _DISTURBED and name != "direct":
        yield f"{workload}: others took up to {disturbed:.0%} of the core while {name} was measured"


def _rows(results: Results, contestants: Sequence[str]) -> Iterator[Row]:
    for row in ROWS:
        if row.workload in results and (row.against in ("", "nginx") or row.against in contestants):
            yield row


def _cells(
    row: Row, rounds: Sequence[Round], contestants: Sequence[str], subject: str, *, show_name: bool
) -> Iterator[str | Text]:
    yield row.workload if show_name else ""
    yield row.label
    for name in contestants:
        yield _number(figures.median(row.figure, rounds, name), row.form)
    value, ratio = achieved(row, rounds, subject), bool(row.against)
    yield _limit(value, row) + (f" {row.against}" if ratio and value is not None else "")
    yield _limit(row.floor, row)
    yield _limit(row.goal, row)
    verdict = judge(row, value)
    if verdict and _wrong(rounds, subject):
        verdict = Verdict.ERRORS
    yield Text(verdict, style=_COLOURS[verdict])


def _wrong(rounds: Sequence[Round], name: str) -> int:
    loads = [round_[name].load for round_ in rounds if name in round_]
    return sum(load.errors for load in loads if load)


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _limit(value: float | None, row: Row) -> str:
    """A ratio shows three digits; a plain figure keeps the form of its row."""
    if value is None:
        return ""
    return f"{value:.3g} x" if row.against else format(value, row.form)
