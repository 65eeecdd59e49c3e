"""`gateway models`."""

from typing import TYPE_CHECKING

import rich_click as click

from gateway.cli.options import as_json, to_gateway
from gateway.cli.printing import print_json, print_table

if TYPE_CHECKING:
    from gateway.cli.remote import Remote

__all__ = ["models"]


@click.command()
@as_json
@to_gateway
def models(gateway: "Remote", as_json: bool) -> None:
    """List the models that a running gateway serves."""
    found = gateway.get("/api/models")["data"]
    if as_json:
        print_json(found)
        return
    rows = [(one["id"], " ".join(one["chat_types"]), one["upstream"], one["owned_by"]) for one in found]
    print_table(("model", "chat types", "upstream", "owner"), rows)
