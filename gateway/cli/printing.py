"""How results look: JSON for programs, tables for people."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import rich_click as click

__all__ = ["print_json", "print_table", "progress", "say"]

_PIPE_WIDTH = 1000
"""Columns of a table that goes into a pipe: nothing may be cut off there."""


def print_json(value: Any) -> None:
    """Print a value, indented, to stdout."""
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table to stdout, in colour on a terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def say(text: str) -> None:
    """Tell the person at the terminal something; it is not data."""
    click.echo(text, err=True)


@contextmanager
def progress(what: str) -> Iterator[Callable[[str], None]]:
    """Show on a terminal that `what` is under way; the function that is yielded says how far."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status(what) as status:
        yield lambda detail: status.update(f"{what}: {detail}")
