"""The command line: `gateway serve` and everything an operator asks for."""

import sys
from pathlib import Path
from typing import Any

import rich_click as click

__all__ = ["main"]


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def cli(context: click.Context) -> None:
    """An OpenAI-compatible gateway for Qwen's chat, images and videos."""
    if context.invoked_subcommand is None:
        context.invoke(serve)


@cli.command()
@click.option("--config", type=click.Path(path_type=Path), help="The configuration file.")
@click.option("--host", help="The address to listen on.")
@click.option("--port", type=int, help="The port to listen on; 0 takes a free one.")
def serve(config: Path | None = None, host: str | None = None, port: int | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    import uvloop

    from gateway.config import load_settings
    from gateway.server import serve as run
    from gateway.telemetry.logging import configure_logging

    flags = {"GATEWAY_SERVER__HOST": host, "GATEWAY_SERVER__PORT": port}
    import os

    environ = {**os.environ, **{name: str(value) for name, value in flags.items() if value is not None}}
    settings = load_settings(config, environ)
    configure_logging(settings.log.level, settings.log.format)
    uvloop.run(run(settings, started=lambda url, gateway: print(url, file=sys.stderr)))


def main() -> Any:
    """Run the command line."""
    return cli()
