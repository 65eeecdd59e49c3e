"""The lean routes: every dialect's addresses, served straight on ASGI.

Litestar finds the path; method, key, body, errors are handled here, once for all dialects.
"""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from litestar.types import HTTPScope, Receive, Scope, Send

from gateway.dialects.base import Call, Dialect, FormPart, Purpose, Route
from gateway.generation.errors import GatewayError, MethodNotAllowed, UnsupportedMediaType
from gateway.generation.requests import Caller
from gateway.telemetry.logging import get_logger
from gateway.telemetry.observation import Observation
from gateway.web.auth import ClientKey, KeyRing
from gateway.web.body import ClientGone, RequestBodies
from gateway.web.errors import send_error
from gateway.web.exchange import Exchange, Handler
from gateway.web.limits import KeyLimits
from gateway.web.multipart import boundary_of, parse_form
from gateway.web.open_calls import OpenCalls

__all__ = ["LeanLimits", "LeanPath"]

_RETRY_DIGITS = 6
_SCHEMES = frozenset({"http", "https"})
_LOOPBACKS = frozenset({"127.0.0.1", "::1"})
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


class LeanLimits(msgspec.Struct, frozen=True):
    """Largest bodies in bytes, and the address that clients know us by ("" takes the Host header)."""

    body: int
    upload: int
    public_url: str = ""


class LeanPath:
    """Everything that is served under one path, by method."""

    def __init__(
        self,
        routes: Mapping[str, tuple[Dialect, Route]],
        handlers: Mapping[Purpose, Handler],
        keys: KeyRing,
        limits: LeanLimits,
        key_limits: KeyLimits,
        calls: OpenCalls,
    ) -> None:
        self._routes = dict(routes)
        if "GET" in routes:
            self._routes.setdefault("HEAD", routes["GET"])
        self._handlers = handlers
        self._keys = keys
        self._limits = limits
        self._key_limits = key_limits
        self._calls = calls
        self._bodies = RequestBodies()
        self._any_dialect, any_route = next(iter(routes.values()))
        self._path = any_route.path
        self.methods = sorted(self._routes)
        self._allowed = ", ".join(self.methods).encode()

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one exchange to its end, whatever happens."""
        http: Any = scope
        observed: Observation = http["gateway.observed"]
        observed.route = self._path
        dialect, route = self._routes.get(http["method"], (self._any_dialect, None))
        task = asyncio.current_task()
        assert task is not None
        try:
            if route is None:
                raise MethodNotAllowed(f"{http['method']} is not allowed here")
            exchange = await self._open(task, http, receive, send, dialect, route, observed)
            if route.method == "POST" and exchange.key.limited:
                await self._key_limits.serve(self._handlers[route.purpose], exchange)
            else:
                await self._handlers[route.purpose](exchange)
        except ClientGone:
            observed.client_gone = True
        except asyncio.CancelledError:
            await send_error(send, self._calls.reason(task), dialect, observed)
        except GatewayError as error:
            allow = [(b"allow", self._allowed)] if route is None else []
            await send_error(send, error, dialect, observed, allow)
        except Exception:  # noqa: BLE001 - the last resort: no traceback reaches a client
            get_logger().exception("request_failed", request_id=observed.request_id)
            await send_error(send, GatewayError("internal error"), dialect, observed)
        finally:
            self._calls.finish(task)

    async def _open(
        self,
        task: asyncio.Task[Any],
        scope: HTTPScope,
        receive: Receive,
        send: Send,
        dialect: Dialect,
        route: Route,
        observed: Observation,
    ) -> Exchange:
        headers = dict(scope["headers"])
        observed.dialect = dialect.name
        key = self._keys.identify(headers)
        observed.owner = key.name
        self._calls.begin(task, key)
        query = _read_query(scope["query_string"])
        path = _read_path(scope["path_params"]) if "{" in self._path else {}
        body, parts = await self._read_body(task, headers, receive, route)
        call = Call(route=route, path=path, query=query, headers=headers, body=body, parts=parts)
        caller = self._caller(scope, headers, key, observed.request_id)
        return Exchange(task, scope, receive, send, dialect, call, caller, key, observed)

    async def _read_body(
        self, task: asyncio.Task[Any], headers: Mapping[bytes, bytes], receive: Receive, route: Route
    ) -> tuple[bytes, tuple[FormPart, ...]]:
        """Return the body, or the parts of a multipart one; there is none where the method has none."""
        if route.method not in _WITH_BODY:
            return b"", ()
        boundary = boundary_of(headers.get(b"content-type", b"").decode("latin-1"))
        if boundary is None:
            if route.purpose is Purpose.FILE_CREATE:
                raise UnsupportedMediaType("send the file as multipart/form-data")
            return await self._bodies.read(task, headers, receive, self._limits.body), ()
        if not route.forms:
            raise UnsupportedMediaType("send the body as application/json")
        body = await self._bodies.read(task, headers, receive, self._limits.upload)
        return b"", parse_form(body, boundary, self._limits.upload)

    def _caller(
        self, scope: HTTPScope, headers: Mapping[bytes, bytes], key: ClientKey, request_id: str
    ) -> Caller:
        retry = headers.get(b"x-stainless-retry-count", b"")
        return Caller(
            owner=key.name,
            request_id=request_id,
            base_url=self._limits.public_url or _own_address(scope, headers),
            idempotency_key=headers.get(b"idempotency-key", b"").decode("latin-1"),
            retry=int(retry[:_RETRY_DIGITS]) if retry.isdigit() else 0,
            admin=key.admin,
        )


def _own_address(scope: HTTPScope, headers: Mapping[bytes, bytes]) -> str:
    """Return the address that the client used; a proxy on this machine is believed about the scheme."""
    scheme = headers.get(b"x-forwarded-proto", b"").decode("latin-1")
    if scheme not in _SCHEMES or not _is_local(scope["client"]):
        scheme = scope["scheme"]
    return f"{scheme}://{headers.get(b'host', b'localhost').decode('latin-1')}"


def _is_local(client: tuple[str, int] | None) -> bool:
    return client is not None and client[0] in _LOOPBACKS


def _read_path(parameters: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value).removeprefix("/") for name, value in parameters.items()}


def _read_query(query: bytes) -> dict[str, str]:
    return dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True)) if query else {}
