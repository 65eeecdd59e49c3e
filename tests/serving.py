"""Real servers for tests: a gateway, or any ASGI application, on uvicorn and a loopback port."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import uvicorn

from gateway.app import Gateway, open_gateway
from gateway.config import Settings, load_settings
from gateway.http1 import HttpProtocol


class Served(msgspec.Struct, frozen=True):
    """A gateway that answers at `url`."""

    url: str
    gateway: Gateway


@asynccontextmanager
async def serving(app: Any, *, http: Any = "httptools") -> AsyncIterator[str]:
    """Serve an ASGI application in this loop, on any of uvicorn's protocols or ours; yields its base URL."""
    sock = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,
        http=http,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    work = asyncio.get_running_loop().create_task(server._serve([sock]))
    while not server.started:
        await asyncio.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        server.should_exit = True
        await work


@asynccontextmanager
async def serving_gateway(settings: Settings) -> AsyncIterator[Served]:
    """Serve a whole gateway in this loop."""
    async with open_gateway(settings) as gateway, serving(gateway.app, http=HttpProtocol()) as url:
        yield Served(url, gateway)


def settings_in(folder: Path, toml: str = "", **environ: str) -> Settings:
    """Return settings that keep everything in `folder`; `toml` comes on top."""
    config = folder / "gateway.toml"
    config.write_text(toml)
    base = {
        "GATEWAY_STATE__URL": f"sqlite:///{folder}/gateway.db",
        "GATEWAY_MEDIA__STORE": f"file://{folder}/media",
        "GATEWAY_TASKS__POLL_INTERVAL_SECONDS": "0.1",
    }
    return load_settings(config, base | environ)


__all__ = ["Served", "serving", "serving_gateway", "settings_in"]
