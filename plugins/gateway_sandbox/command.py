"""`gateway sandbox`: the provider alone, for clients under test and for curious hands."""

import asyncio
import signal

import rich_click as click

from .settings import SandboxSettings

__all__ = ["sandbox"]

_DEFAULTS = SandboxSettings()


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=0, show_default=True, help="Port to listen on; 0 takes a free one.")
@click.option("--path", default=None, help="File that keeps the state; without it nothing is kept.")
@click.option("--seed", default=_DEFAULTS.seed, show_default=True, help="Changes every text and picture.")
@click.option(
    "--video-seconds", default=_DEFAULTS.video_seconds, show_default=True, help="Time a video takes."
)
@click.option(
    "--image-seconds", default=_DEFAULTS.image_seconds, show_default=True, help="Time a picture takes."
)
@click.option(
    "--tokens-per-second",
    default=_DEFAULTS.tokens_per_second,
    show_default=True,
    help="Pace of an answer; 0 is as fast as possible.",
)
def sandbox(
    host: str,
    port: int,
    path: str | None,
    seed: int,
    video_seconds: float,
    image_seconds: float,
    tokens_per_second: float,
) -> None:
    """Serve a stand-in for the Qwen chat site until Ctrl+C."""
    settings = SandboxSettings(
        path=path,
        seed=seed,
        video_seconds=video_seconds,
        image_seconds=image_seconds,
        tokens_per_second=tokens_per_second,
    )
    asyncio.run(_serve(settings, host, port))


async def _serve(settings: SandboxSettings, host: str, port: int) -> None:
    from .server import SandboxServer  # the command line lists this command without paying for a server

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    server = SandboxServer(settings)
    click.echo(f"Qwen chat sandbox at {await server.start(host, port)} (any token is an account)")
    try:
        await stop.wait()
    finally:
        await server.aclose()
