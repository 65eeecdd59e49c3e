"""`gateway config`: what the configuration is, and what it could be."""

from pathlib import Path

import rich_click as click

from gateway.cli.documents import deliver
from gateway.cli.options import check_file, output_file

__all__ = ["config"]


@click.group()
def config() -> None:
    """Show, describe or begin a configuration."""


@config.command()
@output_file
@check_file
def schema(output: Path | None, check: Path | None) -> None:
    """Print the JSON Schema of gateway.toml."""
    import msgspec

    from gateway.cli.schema import describe_settings

    document = msgspec.json.format(msgspec.json.encode(describe_settings()), indent=2)
    deliver(document + b"\n", output, check)
