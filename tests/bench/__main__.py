"""Measure the gateway against a pass-through, and against rivals where they are installed.

    python -m tests.bench [--quick] [--only W1]... [--rivals] [--rounds N]

Mock provider and load generator share one core, the contestant has another; all traffic stays on 127.0.0.1.
"""

import sys

import rich_click as click
from rich.console import Console

from tests.bench.contestants import Contestant, Direct, NeverAnsweredError, Nginx
from tests.bench.figures import Round
from tests.bench.gateway import Gateway
from tests.bench.machine import prepare
from tests.bench.report import save, table, warnings
from tests.bench.rivals import LiteLLM, Portkey
from tests.bench.rounds import run_workload
from tests.bench.workloads import catalogue, chosen

__all__ = ["main"]


@click.command(help=__doc__.splitlines()[0])
@click.option(
    "--quick", is_flag=True, help="About two minutes: short loads, two rounds, the telling workloads."
)
@click.option("--only", multiple=True, metavar="W1", help="Only this workload; may be repeated.")
@click.option("--rivals", is_flag=True, help="With LiteLLM and Portkey, where installed.")
@click.option(
    "--rounds", type=click.IntRange(1), help="How often each contestant has its turn (3; quick: 2)."
)
@click.option(
    "--judge", "subject", default="gateway", help="The contestant that floors and goals are applied to."
)
def main(quick: bool, only: tuple[str, ...], rivals: bool, rounds: int | None, subject: str) -> None:
    """Run the chosen workloads, print the table, keep the samples."""
    console = terminal()
    prepare()
    contestants = _contestants(console, rivals=rivals)
    results: dict[str, list[Round]] = {}
    turns, failed = rounds or (2 if quick else 3), False
    for workload in chosen(catalogue(quick=quick), only):
        console.rule(f"{workload.name}: {workload.title}", align="left")
        try:
            results[workload.name] = run_workload(workload, contestants, turns, console.out)
        except NeverAnsweredError as error:
            failed = True
            console.print(f"[bold red]{workload.name} is left out:[/] {error}")
    console.print(table(results, [one.name for one in contestants], subject))
    for warning in warnings(results):
        console.print(f"[yellow]{warning}[/]")
    console.print(f"samples: {save(results)}")
    sys.exit(failed)


def terminal() -> Console:
    """The terminal, or 140 columns of plain text where there is none."""
    return Console(width=None if sys.stdout.isatty() else 140)


def _contestants(console: Console, *, rivals: bool) -> list[Contestant]:
    wanted: list[Contestant] = [Direct(), Nginx(), Gateway()]
    if rivals:
        wanted += [LiteLLM(), Portkey()]
    for one in wanted:
        if not one.available():
            console.print(f"[yellow]{one.name} is not installed here and is left out[/]")
    return [one for one in wanted if one.available()]


if __name__ == "__main__":
    main()
