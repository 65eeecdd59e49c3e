"""`gateway tasks`: the caller's own tasks at a running gateway."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import rich_click as click

from gateway.cli.options import as_json, to_gateway
from gateway.cli.printing import print_json, print_table, say

if TYPE_CHECKING:
    from gateway.cli.remote import Remote

__all__ = ["tasks"]

_STATUSES = ("pending", "processing", "completed", "failed")


@click.group()
def tasks() -> None:
    """Look at tasks of a running gateway, or stop one. A key sees its own tasks."""


@tasks.command("list")
@click.option("--status", type=click.Choice(_STATUSES), help="Only these.")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True, help="How many.")
@as_json
@to_gateway
def list_tasks(gateway: "Remote", status: str | None, limit: int, as_json: bool) -> None:
    """List tasks, newest first."""
    query = {"limit": limit, "order": "desc", **({"status": status} if status else {})}
    found = gateway.get(f"/api/tasks?{urlencode(query)}")["data"]
    if as_json:
        print_json(found)
        return
    columns = ("task_id", "chat_type", "model", "status", "progress", "created", "error")
    rows = [{**one, "created": _moment(one["created"]), "error": one["error"] or ""} for one in found]
    print_table(columns, [[str(row[name]) for name in columns] for row in rows])


@tasks.command()
@click.argument("task_id")
@to_gateway
def get(gateway: "Remote", task_id: str) -> None:
    """Print a task as JSON."""
    print_json(gateway.get(f"/api/tasks/status/{quote(task_id, safe='')}"))


@tasks.command()
@click.argument("task_id")
@to_gateway
def cancel(gateway: "Remote", task_id: str) -> None:
    """Stop a task, where its provider can."""
    gateway.delete(f"/api/tasks/{quote(task_id, safe='')}")
    say(f"{task_id} is cancelled")


def _moment(unix_seconds: float) -> str:
    return datetime.fromtimestamp(unix_seconds, UTC).isoformat(" ", "seconds")
