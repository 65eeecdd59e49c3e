"""Options that several commands share."""

from pathlib import Path

import rich_click as click

__all__ = ["as_json", "check_file", "config_file", "output_file"]

config_file = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    help="The configuration file; else GATEWAY_CONFIG, else ./gateway.toml if there is one.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
output_file = click.option("--output", type=click.Path(path_type=Path), help="Write it to this file.")
check_file = click.option(
    "--check", type=click.Path(path_type=Path), help="Compare it with this file: exit code 1 if they differ."
)
