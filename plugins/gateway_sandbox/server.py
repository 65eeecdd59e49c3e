"""The sandbox as a server: a provider on the wire, inside the running event loop."""

import asyncio
import contextlib
import socket
from collections.abc import Generator
from typing import Any

import uvicorn
from litestar import Litestar
from litestar.di import Provide
from litestar.types import ASGIApp

from .gate import Gate
from .protocol import ClosableProtocol
from .refusals import Refusal
from .routes import ROUTES
from .routes.answers import refused
from .sandbox import Sandbox
from .settings import SandboxSettings

__all__ = ["SandboxServer", "create_app"]

_PORT_FACT = "port"


class SandboxServer:
    """A Qwen chat provider on a socket of its own."""

    def __init__(self, settings: SandboxSettings) -> None:
        self.settings = settings
        self._sandbox = Sandbox(settings)
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Serve, and return the base URL.

        Port 0 takes the port of the last run with the same `path` if it is free,
        so that links given out before a restart stay good; else any free port.
        """
        await self._sandbox.open()
        try:
            listener = await self._listen(host, port)
        except OSError:
            await self._sandbox.aclose()
            raise
        self._server = _Server(_config(create_app(self._sandbox)))
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]), name="gateway-sandbox")
        await self._server.ready.wait()
        return _base_url(host, listener.getsockname()[1])

    async def aclose(self) -> None:
        """Drop all connections, stop serving, close the store."""
        if self._server is None or self._serving is None:
            return
        self._server.stop()
        await self._serving
        await self._sandbox.aclose()
        self._server = self._serving = None

    async def _listen(self, host: str, port: int) -> socket.socket:
        last = int(await self._sandbox.store.fact(_PORT_FACT, "0"))
        listener = _bind(host, port, last)
        await self._sandbox.store.set_fact(_PORT_FACT, str(listener.getsockname()[1]))
        return listener


def create_app(sandbox: Sandbox) -> ASGIApp:
    """Return the ASGI application around an opened sandbox."""
    routes = Litestar(
        route_handlers=ROUTES,
        dependencies={"sandbox": Provide(lambda: sandbox, sync_to_thread=False)},
        exception_handlers={Refusal: refused},
        logging_config=None,
        openapi_config=None,
        request_max_body_size=None,  # the gate has counted the bytes already
    )
    max_body = sandbox.settings.max_body_mb * 1024 * 1024
    return Gate(routes, sandbox.journal, sandbox.faults, max_body)


class _Server(uvicorn.Server):
    """A guest in somebody's event loop: no signal handlers, ready and gone without delay."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()
        self._stop = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        while not self._stop.is_set():
            await self.on_tick(0)  # renews the date header
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), 1.0)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close every socket; running answers see their client leave, and end."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.close()
        await asyncio.gather(*self.server_state.tasks, return_exceptions=True)

    def stop(self) -> None:
        """Ask the server to end."""
        self._stop.set()


def _config(app: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=ClosableProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=75,
    )


def _bind(host: str, port: int, last: int) -> socket.socket:
    if port == 0 and last:
        with contextlib.suppress(OSError):  # somebody else has it now
            return _open_socket(host, last)
    return _open_socket(host, port)


def _open_socket(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named outright: asyncio turns Nagle's delay off only on sockets that say they are TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def _base_url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
