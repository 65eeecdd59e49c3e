"""`gateway serve`."""

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import rich_click as click

from gateway.cli.options import config_file

__all__ = ["serve"]


@click.command()
@config_file
@click.option("--host", help='The address to listen on; "0.0.0.0" is all, and needs keys.')
@click.option("--port", type=click.IntRange(0, 65535), help="The port to listen on; 0 takes a free one.")
def serve(config_path: Path | None = None, host: str | None = None, port: int | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    import uvloop

    from gateway.cli.banner import announce
    from gateway.config import load_configuration
    from gateway.reload import Source
    from gateway.server import serve as run
    from gateway.telemetry.logging import configure_logging

    load = partial(load_configuration, config_path, _environment(host, port))
    configuration = load()
    settings = configuration.settings
    configure_logging(settings.log.level, settings.log.format)
    uvloop.run(run(settings, source=Source(load, configuration.files), started=partial(announce, settings)))


def _environment(host: str | None, port: int | None) -> Mapping[str, str]:
    """Return the environment with the flags over it."""
    flags = {"GATEWAY_SERVER__HOST": host, "GATEWAY_SERVER__PORT": port}
    return {**os.environ, **{name: str(value) for name, value in flags.items() if value is not None}}
