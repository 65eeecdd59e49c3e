"""`gateway healthcheck`, for containers."""

from typing import TYPE_CHECKING

import rich_click as click

from gateway.cli.options import to_gateway
from gateway.cli.problems import NO, Problem

if TYPE_CHECKING:
    from gateway.cli.remote import Remote

__all__ = ["healthcheck"]


@click.command()
@click.option("--ready", is_flag=True, help="Ask whether it should get traffic, not only whether it lives.")
@to_gateway
def healthcheck(gateway: "Remote", ready: bool) -> None:
    """Ask a running gateway how it is: exit code 0 when it is well, 1 when not."""
    try:
        gateway.get("/readyz" if ready else "/livez")
    except Problem as problem:
        raise Problem(str(problem), NO) from problem
