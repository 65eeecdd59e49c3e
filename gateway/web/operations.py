"""What operators and probes look at: health, readiness, metrics, status, archived media."""

import time
from collections.abc import Sequence
from typing import Any, cast

import msgspec
from litestar import HttpMethod, Request, Response, get, route
from litestar.handlers import BaseRouteHandler
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from gateway import __version__
from gateway.dialects.base import Dialect
from gateway.generation.errors import GatewayError
from gateway.media.archive import MEDIA_PATH, Archive
from gateway.plugin_api.registry import PluginInfo
from gateway.state.store import StateStore, StoreUnavailable
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.observation import Observation
from gateway.web.account_admin import ACCOUNT_ROUTES
from gateway.web.account_board import AccountBoard, AccountLine
from gateway.web.answers import send_blob
from gateway.web.auth import KeyRing
from gateway.web.body import ClientGone
from gateway.web.errors import send_error
from gateway.web.gauges import Gauges
from gateway.web.key_admin import KEY_ROUTES
from gateway.web.ranges import read_range

__all__ = ["METRICS", "OPERATIONS", "Operation", "Operations", "Readiness", "media_route"]


class Operation(msgspec.Struct, frozen=True):
    """An address for operators: what it is and what it answers with."""

    path: str
    summary: str
    media_type: str = "application/json"
    method: str = "GET"


LIVEZ = Operation("/livez", "Is the process alive?")
READYZ = Operation("/readyz", "Should this process get traffic?")
METRICS = Operation("/metrics", "Prometheus metrics", "text/plain")
STATUS = Operation("/api/status", "Accounts, upstreams and plugins; all of it for admin keys")
OPENAPI = Operation("/openapi", "This description as a page", "text/html")
OPENAPI_JSON = Operation("/openapi.json", "This description")
MEDIA = Operation(MEDIA_PATH + "{name}", "A generated picture, film or sound", "application/octet-stream")
ADMIN = (
    Operation(KEY_ROUTES, "Client keys; for admin keys"),
    Operation(f"{KEY_ROUTES}/revoke", "Take a client key back", method="POST"),
    Operation(f"{KEY_ROUTES}/restore", "Give a client key back", method="POST"),
    Operation(f"{ACCOUNT_ROUTES}/disable", "Take an account out of use", method="POST"),
    Operation(f"{ACCOUNT_ROUTES}/enable", "Take an account into use again", method="POST"),
    Operation(f"{ACCOUNT_ROUTES}/test", "Ask a provider whether an account works", method="POST"),
)
OPERATIONS = (LIVEZ, READYZ, METRICS, STATUS, OPENAPI, OPENAPI_JSON, MEDIA, *ADMIN)

_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_LOOKS = (HttpMethod.GET, HttpMethod.HEAD)
"""Probes and browsers ask either way."""
_FOR_EVER = (b"cache-control", b"public, max-age=31536000, immutable")


class Readiness:
    """Whether this process should get traffic: its state can be reached and it is not draining."""

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self.draining = False
        self.began = time.monotonic()

    async def problem(self) -> str:
        """Return why not, "" when ready. Accounts do not count: a replica without them still answers."""
        if self.draining:
            return "draining"
        try:
            await self._store.now()
        except StoreUnavailable:
            return "the state store cannot be reached"
        return ""


class ChatTypeStatus(msgspec.Struct, frozen=True):
    """Whether a chat type is served now."""

    chat_type: str
    served: bool


class PublicStatus(msgspec.Struct, frozen=True):
    """What every key may see."""

    version: str
    sandbox: bool
    chat_types: Sequence[ChatTypeStatus]


class FullStatus(PublicStatus, frozen=True):
    """What admin keys see; `restart_needed` are settings that have changed in vain. No secret, ever."""

    upstreams: Sequence[str]
    accounts: Sequence[AccountLine]
    plugins: Sequence[PluginInfo]
    uptime_seconds: float
    restart_needed: Sequence[str]


class Operations:
    """The routes beside the dialects."""

    def __init__(
        self,
        *,
        readiness: Readiness,
        metrics: Metrics,
        gauges: Gauges,
        keys: KeyRing,
        board: AccountBoard,
        plugins: Sequence[PluginInfo],
        upstreams: Sequence[str],
        chat_types: Sequence[str],
        sandbox: bool,
        restart_needed: Sequence[str],
    ) -> None:
        self._readiness = readiness
        self._metrics = metrics
        self._gauges = gauges
        self._keys = keys
        self._board = board
        self._plugins = plugins
        self._upstreams = upstreams
        self._chat_types = chat_types
        self._sandbox = sandbox
        self._restart_needed = restart_needed

    def routes(self) -> list[BaseRouteHandler]:
        """Return the handlers for Litestar."""

        @route(LIVEZ.path, http_method=_LOOKS, sync_to_thread=False)
        def livez() -> dict[str, str]:
            return {"status": "ok"}

        @route(READYZ.path, http_method=_LOOKS)
        async def readyz() -> Response[dict[str, str]]:
            problem = await self._readiness.problem()
            return Response({"status": problem or "ok"}, status_code=503 if problem else 200)

        @get(METRICS.path, sync_to_thread=False)
        def metrics() -> Response[bytes]:
            self._gauges.refresh(draining=self._readiness.draining)
            return Response(self._metrics.exposition(), media_type=_METRICS_TYPE)

        @get(STATUS.path)
        async def status(request: Request[Any, Any, Any]) -> PublicStatus:
            key = self._keys.identify(dict(request.scope["headers"]))
            return self._full_status() if key.admin else self._public_status()

        return [livez, readyz, metrics, status]

    def _public_status(self) -> PublicStatus:
        return PublicStatus(__version__, self._sandbox, self._served())

    def _full_status(self) -> FullStatus:
        return FullStatus(
            __version__,
            self._sandbox,
            self._served(),
            self._upstreams,
            self._board.lines(),
            self._plugins,
            round(time.monotonic() - self._readiness.began, 3),
            self._restart_needed,
        )

    def _served(self) -> list[ChatTypeStatus]:
        return [
            ChatTypeStatus(chat_type, any(self._board.available(name, chat_type) for name in self._upstreams))
            for chat_type in self._chat_types
        ]


def media_route(archive: Archive, dialect: Dialect) -> BaseRouteHandler:
    """Return the handler of archived media: public, because the random name is the right to see it."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        http = cast("HTTPScope", scope)
        observed = cast("Observation", http["gateway.observed"])  # type: ignore[typeddict-item]
        try:
            part = read_range(dict(http["headers"]).get(b"range", b""))
            await send_blob(
                http, send, await archive.open_name(http["path_params"]["name"], part), [_FOR_EVER]
            )
        except ClientGone:
            observed.client_gone = True
        except GatewayError as error:
            await send_error(send, error, dialect, observed)

    @route(f"{MEDIA_PATH}{{name:str}}", http_method=_LOOKS)
    async def media() -> ASGIApp:
        return serve

    return media
