"""Options that several commands share."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec

import rich_click as click

if TYPE_CHECKING:
    from gateway.cli.remote import Remote

__all__ = ["as_json", "check_file", "config_file", "output_file", "to_gateway"]

P = ParamSpec("P")

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


def to_gateway(command: "Callable[Concatenate[Remote, P], None]") -> Callable[..., None]:
    """Give a command a running gateway as its first argument, and the options that say which."""

    @click.option("--url", envvar="GATEWAY_URL", help="A running gateway; else the one of ./gateway.toml.")
    @click.option("--key", envvar="GATEWAY_KEY", default="", help="A client key; better in GATEWAY_KEY.")
    @wraps(command)
    def ask(url: str | None, key: str, *args: P.args, **options: P.kwargs) -> None:
        from gateway.cli.remote import Remote

        command(Remote(url or _configured_url(), key), *args, **options)

    return ask


def _configured_url() -> str:
    """Return where the gateway of this folder's configuration listens."""
    from gateway.config import load_settings

    server = load_settings().server
    host = "localhost" if server.host in ("0.0.0.0", "::") else server.host  # noqa: S104 - compared, not bound
    return f"http://{f'[{host}]' if ':' in host else host}:{server.port}"
