"""Whether memory stays flat while the gateway works for long.

    python -m tests.bench.soak [--minutes 60]

Whole answers, streams and pictures take turns. After each turn the gateway's memory is read; what it gains
once warm is set against the answers that it gave meanwhile. Its log and its archive are emptied, or an hour
would take a hundred gigabytes of disk.
"""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import linear_regression

import msgspec
import rich_click as click

from tests.bench.__main__ import terminal
from tests.bench.contestants import Running, run_contestant, run_folder
from tests.bench.gateway import Gateway
from tests.bench.machine import prepare, resident_bytes
from tests.bench.measure import measure
from tests.bench.tools import Mock, MockOptions, mock_server
from tests.bench.workloads import Workload, catalogue, chosen

__all__ = ["Point", "main", "slope"]

_TURN_SECONDS = 5.0
_REST_SECONDS = 1.0
_WARM_SHARE = 1 / 3
_MOST_BYTES = 16.0
"""What an answer may leave behind: a leak of one small object is more."""


class Point(msgspec.Struct, frozen=True):
    """Memory after a turn: answers and errors so far, bytes resident."""

    answers: int
    errors: int
    resident: int


def slope(points: Sequence[Point]) -> float:
    """Bytes that an answer leaves behind, by a straight line through the points after the warm-up."""
    warm = points[int(len(points) * _WARM_SHARE) :]
    return linear_regression([p.answers for p in warm], [p.resident for p in warm]).slope


@click.command(help=__doc__.splitlines()[0])
@click.option("--minutes", default=60.0, help="How long.")
def main(minutes: float) -> None:
    """Soak the gateway, print a line for each minute or so, and judge."""
    console = terminal()
    prepare()
    points: list[Point] = []
    with mock_server(MockOptions()) as mock, run_contestant(Gateway(), mock.port, "soak") as running:
        for number, point in enumerate(_soak(running, mock, minutes * 60)):
            points.append(point)
            if number % 9 == 0:
                console.out(
                    f"{point.answers:10,} answers {point.errors} errors {point.resident / 2**20:8.1f} MB"
                )
    left = slope(points)
    console.print(f"an answer leaves {left:.1f} bytes behind; at most {_MOST_BYTES:.0f} are promised")
    sys.exit(left > _MOST_BYTES or points[-1].errors > 0)


def _soak(running: Running, mock: Mock, seconds: float) -> Iterator[Point]:
    turns = [_turn(workload) for workload in chosen(catalogue(), ("W1", "W2", "W6"))]
    end = time.monotonic() + seconds
    answers = errors = 0
    while time.monotonic() < end:
        for workload in turns:
            load = measure(workload, running, mock).load
            assert load is not None
            answers, errors = answers + load.units, errors + load.errors
        time.sleep(_REST_SECONDS)
        _empty(run_folder("soak", running.name))
        assert running.pid is not None
        yield Point(answers, errors, resident_bytes(running.pid))


def _turn(workload: Workload) -> Workload:
    return msgspec.structs.replace(workload, load={**workload.load, "seconds": _TURN_SECONDS, "warmup": 0.5})


def _empty(folder: Path) -> None:
    os.truncate(folder / "log", 0)
    for medium in folder.glob("gateway-media/media/**/*"):
        if medium.is_file():
            medium.unlink()


if __name__ == "__main__":
    main()
