"""How the cost of a request grows with what the gateway has to keep in mind.

    python -m tests.bench.growth [--only accounts]... [--of gateway]

Each axis runs one small load at several sizes, fits cost = c * size ** exponent, and draws a chart.
The fit and the last step must both keep the promise: a steep end hides behind a long flat beginning.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec
import rich_click as click
from rich.console import Console
from rich.table import Table

from tests.bench import figures
from tests.bench.__main__ import terminal
from tests.bench.chart import Curve, draw
from tests.bench.claims import cost_on_sqlite, cost_on_valkey
from tests.bench.contestants import Contestant, Nginx, Running, run_contestant
from tests.bench.figures import Round
from tests.bench.gateway import Gateway, Shape
from tests.bench.machine import FOLDER, prepare
from tests.bench.measure import measure
from tests.bench.tools import Mock, mock_server
from tests.bench.workloads import Workload, answers, catalogue, chosen, slow_streams

__all__ = ["AXES", "Axis", "main", "run_axis"]

AxisName = Literal["accounts", "keys", "status", "create", "claims", "claims-valkey", "streams", "messages"]

_ROUNDS = 3
_TASK_BODY = '{"model":"bench","message":"A video.","chatType":"t2v","waitForCompletion":false}'
_TASKS = (1, 100, 10_000, 100_000)


class Axis(msgspec.Struct, frozen=True):
    """One thing that grows. `limit` is the largest exponent that still counts as promised.

    Its cost is that of a request of `workload`, or what `cost` measures in this process.
    A tenth leaves room for noise and for the logarithm of a search.
    """

    name: AxisName
    title: str
    sizes: Sequence[int]
    limit: float
    workload: Callable[[int], Workload] | None = None
    cost: Callable[[int], float] | None = None
    gateway_only: bool = True


def _small(_: int) -> Workload:
    return answers(1.0)


def _status(_: int) -> Workload:
    (status,) = chosen(catalogue(), ("W8",))
    return msgspec.structs.replace(status, load={**status.load, "seconds": 1.0, "warmup": 0.2})


def _create(_: int) -> Workload:
    load = {"clients": 8, "seconds": 1.0, "warmup": 0.2, "expect": "task_id"}
    return msgspec.structs.replace(
        _small(1), name="create", wire="native", path="/api/chat", body=_TASK_BODY, load=load
    )


def _streams(count: int) -> Workload:
    return slow_streams(count, interval_ms=100, seconds=3.0)


def _conversation(length: int) -> Workload:
    line = "A sentence of an ordinary length, as people write them to a model, and no longer."
    messages = [{"role": ("user", "assistant")[turn % 2], "content": line} for turn in range(length)]
    body = msgspec.json.encode({"model": "bench", "messages": messages}).decode()
    return msgspec.structs.replace(answers(1.0), name="messages", body=body)


AXES: tuple[Axis, ...] = (
    Axis("accounts", "accounts in the pool", (1, 10, 100, 1_000, 10_000), 0.1, _small),
    Axis("keys", "client keys", (1, 10, 100, 1_000, 10_000), 0.1, _small),
    Axis("status", "tasks on record: a status poll", _TASKS, 0.1, _status),
    Axis("create", "tasks on record: a create", _TASKS, 0.1, _create),
    Axis("claims", "tasks on record: a claim, SQLite", _TASKS, 0.1, cost=cost_on_sqlite),
    Axis("claims-valkey", "tasks on record: a claim, Valkey", _TASKS, 0.1, cost=cost_on_valkey),
    Axis("streams", "open streams", (10, 30, 100, 300, 1_000), 0.1, _streams, gateway_only=False),
    Axis(
        "messages", "messages in a conversation", (1, 10, 100, 1_000), 1.0, _conversation, gateway_only=False
    ),
)


def run_axis(axis: Axis, subject: str) -> Curve:
    """The CPU per answer or chunk at each size, medians of some rounds, and the fitted exponent."""
    costs = [axis.cost(size) if axis.cost else _cost(axis, size, subject) for size in axis.sizes]
    return Curve(axis.title, axis.sizes, costs, figures.exponent(axis.sizes, costs))


def _cost(axis: Axis, size: int, subject: str) -> float:
    assert axis.workload is not None
    workload, contestant = axis.workload(size), _contestant(axis, size, subject)
    label = f"growth-{axis.name}"
    with mock_server(workload.mock) as mock, run_contestant(contestant, mock.port, label) as running:
        rounds = [_round(workload, running, mock) for _ in range(_ROUNDS)]
    cost = figures.median(figures.cpu_us, rounds, subject)
    if cost is None:
        raise RuntimeError(f"{subject} answered nothing with {size} {axis.title}")
    return cost


def _contestant(axis: Axis, size: int, subject: str) -> Contestant:
    if subject == "nginx":
        return Nginx()
    shapes: Mapping[str, Shape] = {
        "accounts": Shape(accounts=size),
        "keys": Shape(keys=size),
        "status": Shape(tasks=size),
        "create": Shape(tasks=size),
    }
    return Gateway(shapes.get(axis.name, Shape()))


def _round(workload: Workload, running: Running, mock: Mock) -> Round:
    sample = measure(workload, running, mock)
    if sample.load is None or sample.load.errors:
        raise RuntimeError(f"{running.name} gave wrong answers: {sample.load}")
    return {running.name: sample}


@click.command(help=__doc__.splitlines()[0])
@click.option("--only", multiple=True, type=click.Choice([axis.name for axis in AXES]))
@click.option("--of", "subject", default="gateway", type=click.Choice(["gateway", "nginx"]))
def main(only: tuple[str, ...], subject: str) -> None:
    """Measure the chosen axes, print the exponents, write the chart."""
    console = terminal()
    prepare()
    axes = [
        axis
        for axis in AXES
        if axis.name in (only or [axis.name]) and not (axis.gateway_only and subject == "nginx")
    ]
    curves = []
    for axis in axes:
        console.out(f"{axis.title}: {axis.sizes[0]:,} to {axis.sizes[-1]:,}")
        curves.append(run_axis(axis, subject))
    _show(console, axes, curves)
    target = FOLDER / "results" / f"growth-{subject}.svg"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(draw(curves, f"CPU of {subject} as things grow"))
    console.print(f"chart: {target}")


def _show(console: Console, axes: Sequence[Axis], curves: Sequence[Curve]) -> None:
    table = Table(header_style="bold")
    for heading in ("axis", "CPU µs, smallest to largest", "exponent", "last step", "at most", "verdict"):
        table.add_column(heading)
    for axis, curve in zip(axes, curves, strict=True):
        last_step = figures.exponent(curve.sizes[-2:], curve.costs[-2:])
        verdict = "[green]kept[/]" if max(curve.exponent, last_step) <= axis.limit else "[red]missed[/]"
        costs = "  ".join(f"{cost:,.1f}" for cost in curve.costs)
        exponents = (f"{value:.2f}" for value in (curve.exponent, last_step, axis.limit))
        table.add_row(axis.title, costs, *exponents, verdict)
    console.print(table)


if __name__ == "__main__":
    main()
