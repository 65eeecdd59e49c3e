"""Where the microseconds of a request go, by layer.

    python -m tests.bench.profile [--only W1] [--seconds 10]

The gateway runs under a sampling profiler on its own core, the load comes from another process.
"""

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
import rich_click as click
from rich.console import Console
from rich.table import Table

from tests.bench import figures
from tests.bench.__main__ import terminal
from tests.bench.contestants import run_contestant
from tests.bench.gateway import Gateway, Shape
from tests.bench.machine import FOLDER, HARNESS_CORE, ROOT, pin, raise_file_limit
from tests.bench.measure import measure
from tests.bench.sampler import LOOP, Place
from tests.bench.tools import mock_server
from tests.bench.workloads import Workload, catalogue, chosen

__all__ = ["Stacks", "by_layer", "by_place", "layer_of", "main"]

Stacks = Sequence[tuple[Sequence[Place], int]]
"""Stacks, innermost first, and how often each was seen."""

_TOP = 15

T = TypeVar("T")


def layer_of(place: Place) -> str:
    """Our folder, a plugin, an installed package, the standard library, or the event loop."""
    if place == LOOP:
        return "event loop"
    parts = Path(place[0]).parts
    if "site-packages" in parts:
        return Path(parts[parts.index("site-packages") + 1]).stem
    for root in ("gateway", "plugins"):
        if str(ROOT) in place[0] and root in parts:
            inner = parts[parts.index(root) + 1]
            return root if root == "plugins" else Path(inner).stem
    return "harness" if str(ROOT) in place[0] else "stdlib"


def by_layer(stacks: Stacks) -> Counter[str]:
    """How often each layer was at work itself."""
    return _counted((layer_of(stack[0]), count) for stack, count in stacks)


def by_place(stacks: Stacks) -> Counter[Place]:
    """How often each function was at work itself."""
    return _counted(((stack[0][0], stack[0][1]), count) for stack, count in stacks)


@click.command(help=__doc__.splitlines()[0])
@click.option("--only", default="W1", metavar="W1", help="The workload.")
@click.option("--seconds", default=10.0, help="How long the load lasts.")
def main(only: str, seconds: float) -> None:
    """Profile the gateway under one workload and print the layers and the busiest functions."""
    console = terminal()
    pin(HARNESS_CORE)
    raise_file_limit()
    workload = chosen(catalogue(), (only,))[0]
    stacks, cost = _profile(msgspec.structs.replace(workload, load={**workload.load, "seconds": seconds}))
    console.print(_layers(by_layer(stacks), cost, workload))
    _show_places(console, by_place(stacks), cost)


def _profile(workload: Workload) -> tuple[Stacks, float]:
    """The stacks, and the CPU microseconds of one answer or chunk."""
    output = FOLDER / "run" / "profile.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    command = (sys.executable, "-m", "tests.bench.sampler", output)
    shape = Shape(text_upstream="qwen" if workload.wire == "native" else "local")
    gateway = Gateway(shape, command)
    with mock_server(workload.mock) as mock, run_contestant(gateway, mock.port, "profile") as running:
        sample = measure(workload, running, mock)
    cost = figures.cpu_us({sample.contestant: sample}, sample.contestant)
    if cost is None:
        raise click.ClickException(f"no answers: {sample.load}")
    return msgspec.json.decode(output.read_bytes(), type=list[tuple[list[Place], int]]), cost


def _layers(layers: Counter[str], cost: float, workload: Workload) -> Table:
    total = layers.total()
    table = Table(title=f"{workload.name}: {cost:,.1f} µs of CPU per {workload.unit}", header_style="bold")
    table.add_column("layer")
    table.add_column("µs", justify="right")
    table.add_column("share", justify="right")
    for layer, count in layers.most_common():
        table.add_row(layer, f"{cost * count / total:,.1f}", f"{count / total:.1%}")
    return table


def _show_places(console: Console, places: Counter[Place], cost: float) -> None:
    total = places.total()
    for place, count in places.most_common(_TOP):
        console.out(f"{cost * count / total:8.1f} µs  {layer_of(place):12} {place[1]}")


def _counted(pairs: Iterable[tuple[T, int]]) -> Counter[T]:
    counts: Counter[T] = Counter()
    for key, count in pairs:
        counts[key] += count
    return counts


if __name__ == "__main__":
    main()
