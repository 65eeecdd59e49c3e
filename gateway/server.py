"""The process: sockets, signals, uvicorn, and a shutdown that cuts nobody off without a word."""

import asyncio
import errno
import gc
import signal
import socket
from collections.abc import Callable, Sequence
from types import FrameType

import msgspec
import uvicorn
from litestar.types import ASGIApp

from gateway.app import Gateway, open_gateway
from gateway.config import ConfigError, ServerSettings, Settings
from gateway.http1 import HttpProtocol
from gateway.reload import Source, following
from gateway.web.operations import METRICS
from gateway.web.own_port import OwnPort

__all__ = ["bind", "serve"]

_NOTICE_SECONDS = 0.5
"""How long new connections are still answered after SIGTERM, so that probes see the 503."""
_LAST_FRAMES_SECONDS = 5.0


async def serve(
    settings: Settings,
    *,
    source: Source | None = None,
    started: Callable[[str, Gateway], None] = lambda url, gateway: None,
) -> None:
    """Serve until SIGTERM or SIGINT; `started` is called with the base URL once requests are answered.

    With a `source` the configuration is followed while the gateway serves.

    Raises:
        ConfigError: an address is taken, or the configuration cannot be used.
    """
    sockets, own_port = bind(settings.server), settings.metrics.port
    if own_port:
        sockets += bind(msgspec.structs.replace(settings.server, port=own_port))
    async with open_gateway(settings) as gateway, following(source, gateway.reload):
        app = OwnPort(gateway.app, METRICS.path, own_port) if own_port else gateway.app
        server = _Server(_config(app, settings.server), gateway, settings.server.drain_seconds, started)
        _settle_memory()
        await server.serve(sockets)


def bind(settings: ServerSettings) -> list[socket.socket]:
    """Return listening sockets; "localhost" is both loopbacks, on one port.

    Raises:
        ConfigError: the address is taken or not ours.
    """
    try:
        if settings.host == "localhost":
            return _listen_locally(settings.port)
        return [_listen(settings.host, settings.port)]
    except OSError as error:
        other = "--port" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "--host"
        raise ConfigError(
            f"cannot listen on {settings.host} port {settings.port}: {error.strerror}; "
            f"choose another with {other}"
        ) from error


def _listen_locally(port: int) -> list[socket.socket]:
    first = _listen("127.0.0.1", port)
    try:
        return [first, _listen("::1", first.getsockname()[1])]
    except OSError as error:
        if error.errno == errno.EADDRINUSE and port:
            # Half of this machine's clients would talk to somebody else.
            first.close()
            raise
        # No IPv6 on this machine: the other loopback serves alone.
        return [first]


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches delayed sending off only for sockets that name their protocol.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
        sock.setblocking(False)
        sock.listen(2048)
    except OSError:
        sock.close()
        raise
    return sock


def _config(app: ASGIApp, settings: ServerSettings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=HttpProtocol(),  # type: ignore[arg-type]  # a maker of protocols is all that is needed
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=int(settings.drain_seconds + _LAST_FRAMES_SECONDS),
    )


def _settle_memory() -> None:
    """Keep the collector off what lives as long as the process: measured to cut tail latency threefold."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


class _Server(uvicorn.Server):
    """uvicorn with our drain: readiness first, then no new connections, then a last word to open streams."""

    def __init__(
        self, config: uvicorn.Config, gateway: Gateway, drain: float, started: Callable[[str, Gateway], None]
    ) -> None:
        super().__init__(config)
        self._gateway = gateway
        self._drain = drain
        self._tell_started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, then say so."""
        await super().startup(sockets)
        self._tell_started(_url(sockets or []), self._gateway)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the drain; a second SIGINT leaves at once."""
        if self._gateway.readiness.draining:
            self.force_exit = sig == signal.SIGINT
            self._stop()
            return
        self._gateway.readiness.draining = True
        loop = asyncio.get_running_loop()
        loop.call_later(_NOTICE_SECONDS, self._stop)
        loop.call_later(_NOTICE_SECONDS + self._drain, self._gateway.calls.drain)

    def _stop(self) -> None:
        # uvicorn's own way would raise the signal anew, and end the process before the gateway has closed.
        self.should_exit = True


def _url(sockets: Sequence[socket.socket]) -> str:
    host, port = sockets[0].getsockname()[:2]
    shown = "localhost" if host == "127.0.0.1" else f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}"
