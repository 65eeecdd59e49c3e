"""Where the microseconds of a request go, by layer.

    python -m tests.bench.profile [--only W1] [--seconds 10]

The gateway runs under a sampling profiler on its own core, the load comes from another process.
"""

import os
import signal
import sys
from collections import Counter
from pathlib import Path

import msgspec
import rich_click as click
from rich.console import Console
from rich.table import Table

from tests.bench import figures
from tests.bench.__main__ import terminal
from tests.bench.contestants import run_contestant
from tests.bench.gateway import Gateway, Shape
from tests.bench.machine import FOLDER, ROOT, prepare
from tests.bench.measure import measure
from tests.bench.sampler import LOOP, Place
from tests.bench.tools import mock_server
from tests.bench.workloads import Workload, catalogue, chosen

__all__ = ["by_layer", "layer_of", "main"]

_TOP = 15


def layer_of(place: Place) -> str:
    """Our folder, a plugin, an installed package, the standard library, or the event loop."""
    if place == LOOP:
        return "event loop"
    path = Path(place[0])
    if "site-packages" in path.parts:
        return Path(path.parts[path.parts.index("site-packages") + 1]).stem
    if not path.is_relative_to(ROOT):
        return "stdlib"
    top, *inner = path.relative_to(ROOT).parts
    return Path(inner[0]).stem if top == "gateway" else top


def by_layer(places: Counter[Place]) -> Counter[str]:
    """How often each layer was at work itself."""
    layers: Counter[str] = Counter()
    for place, count in places.items():
        layers[layer_of(place)] += count
    return layers


@click.command(help=__doc__.splitlines()[0])
@click.option("--only", default="W1", metavar="W1", help="The workload.")
@click.option("--seconds", default=10.0, help="How long the load lasts.")
def main(only: str, seconds: float) -> None:
    """Profile the gateway under one workload and print the layers and the busiest functions."""
    console = terminal()
    prepare()
    workload = chosen(catalogue(), (only,))[0]
    places, cost = _profile(msgspec.structs.replace(workload, load={**workload.load, "seconds": seconds}))
    console.print(_layers(by_layer(places), cost, workload))
    _show_places(console, places, cost)


def _profile(workload: Workload) -> tuple[Counter[Place], float]:
    """The samples, and the CPU microseconds of one answer or chunk."""
    output = FOLDER / "run" / "profile.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    command = (sys.executable, "-P", Path(__file__).with_name("sampler.py"), output)
    shape = Shape(text_upstream="qwen" if workload.wire == "native" else "local")
    gateway = Gateway(shape, command)
    with mock_server(workload.mock) as mock, run_contestant(gateway, mock.port, "profile") as running:
        assert running.pid is not None
        os.kill(running.pid, signal.SIGUSR1)
        sample = measure(workload, running, mock)
    cost = figures.cpu_us({sample.contestant: sample}, sample.contestant)
    if cost is None:
        raise click.ClickException(f"no answers: {sample.load}")
    samples = msgspec.json.decode(output.read_bytes(), type=list[tuple[Place, int]])
    return Counter(dict(samples)), cost


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


if __name__ == "__main__":
    main()
