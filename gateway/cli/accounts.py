"""`gateway accounts`: who serves, and who must rest."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import rich_click as click

from gateway.cli.options import as_json, to_gateway
from gateway.cli.printing import print_json, print_table, say
from gateway.cli.problems import NO, Problem

if TYPE_CHECKING:
    from gateway.cli.remote import Remote

__all__ = ["accounts"]

_ROUTES = "/api/admin/accounts"
_COLUMNS = ("upstream", "account", "chat_type", "model", "state", "until", "reason", "in_flight", "requests")


@click.group()
def accounts() -> None:
    """Look at the accounts of a running gateway, and take them in and out of use."""


@accounts.command("list")
@as_json
@to_gateway
def list_accounts(gateway: "Remote", as_json: bool) -> None:
    """List accounts with their state, as a whole and for each chat type."""
    status = gateway.get("/api/status")
    if "accounts" not in status:
        raise Problem("accounts are shown to admin keys only: give one with --key", NO)
    if as_json:
        print_json(status["accounts"])
        return
    rows = [one | {"until": _moment(one["until"])} for one in status["accounts"]]
    print_table(_COLUMNS, [[str(row[name]) for name in _COLUMNS] for row in rows])


@accounts.command()
@click.argument("upstream")
@click.argument("account")
@to_gateway
def disable(gateway: "Remote", upstream: str, account: str) -> None:
    """Take an account out of use until it is enabled, over restarts and in every replica."""
    gateway.post(f"{_ROUTES}/disable", {"upstream": upstream, "account": account})
    say(f"{upstream} {account} is disabled")


@accounts.command()
@click.argument("upstream")
@click.argument("account")
@to_gateway
def enable(gateway: "Remote", upstream: str, account: str) -> None:
    """Bring an account back, and forget why it rested."""
    gateway.post(f"{_ROUTES}/enable", {"upstream": upstream, "account": account})
    say(f"{upstream} {account} is enabled")


@accounts.command()
@click.argument("upstream")
@click.argument("account")
@as_json
@to_gateway
def test(gateway: "Remote", upstream: str, account: str, as_json: bool) -> None:
    """Ask an account's provider for its models: that shows whether the token is good."""
    outcome = gateway.post(f"{_ROUTES}/test", {"upstream": upstream, "account": account}, seconds=90)
    if as_json:
        print_json(outcome)
    if outcome["error"]:
        raise Problem(f"{upstream} {account}: {outcome['error']}", NO)
    say(f"{upstream} {account} answers, with {outcome['models']} models")


def _moment(unix_seconds: float | None) -> str:
    return "" if not unix_seconds else datetime.fromtimestamp(unix_seconds, UTC).isoformat(" ", "seconds")
