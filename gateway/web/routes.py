"""The table of addresses: every dialect's routes on lean paths, the operators' on Litestar's own."""

from collections import defaultdict
from collections.abc import Awaitable, Iterable, Mapping

import litestar
from litestar import HttpMethod, Litestar, asgi
from litestar.handlers import BaseRouteHandler
from litestar.routes import ASGIRoute
from litestar.types import ASGIApp, Receive, Scope, Send

from gateway.dialects.base import Dialect, Purpose, Route
from gateway.web.auth import KeyRing
from gateway.web.exchange import Handler
from gateway.web.lean import LeanLimits, LeanPath
from gateway.web.limits import KeyLimits
from gateway.web.open_calls import OpenCalls

__all__ = ["DirectPaths", "by_path", "lean_routes"]


class DirectPaths:
    """Finds the lean paths without parameters by one look into a dict, and asks Litestar for all else.

    For those paths Litestar has nothing to do, and doing it costs 20 µs of a request.
    """

    def __init__(self, app: Litestar) -> None:
        self._app = app
        self._direct: Mapping[str, ASGIApp] = {
            route.path: route.route_handler.fn for route in app.routes if isinstance(route, ASGIRoute)
        }

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one connection event."""
        app = self._direct.get(scope.get("path", ""), self._app)
        return app(scope, receive, send)


def by_path(dialects: Iterable[Dialect]) -> Mapping[str, Mapping[str, tuple[Dialect, Route]]]:
    """Return who serves what: path, then method.

    Raises:
        ValueError: two dialects want the same method of the same path.
    """
    table: dict[str, dict[str, tuple[Dialect, Route]]] = defaultdict(dict)
    for dialect in dialects:
        for route in dialect.routes:
            taken = table[route.path].setdefault(route.method, (dialect, route))
            if taken[0] is not dialect:
                raise ValueError(f"{route.method} {route.path} is in both {taken[0].name} and {dialect.name}")
    return table


def lean_routes(
    dialects: Iterable[Dialect],
    handlers: Mapping[Purpose, Handler],
    keys: KeyRing,
    limits: LeanLimits,
    key_limits: KeyLimits,
    calls: OpenCalls,
) -> list[BaseRouteHandler]:
    """Return one handler for each path."""
    return [
        _mounted(path, LeanPath(methods, handlers, keys, limits, key_limits, calls))
        for path, methods in by_path(dialects).items()
    ]


def _mounted(path: str, lean: LeanPath) -> BaseRouteHandler:
    """Put a lean path into Litestar's table.

    Litestar 2.25 cannot resolve the parameters of a raw ASGI handler's path (its trie looks them up by
    method, and they are stored under "asgi"), so those paths pass through an ordinary handler.
    """
    if "{" not in path:
        return asgi(path, copy_scope=False)(lean.serve)

    @litestar.route(
        _litestar_path(path), http_method=[HttpMethod(method) for method in lean.methods], status_code=200
    )
    async def hand_over() -> ASGIApp:
        return lean.serve

    return hand_over


def _litestar_path(path: str) -> str:
    """Say a path's parameters in Litestar's words; model ids may hold slashes."""
    kind = "path" if path.startswith("/v1/models/") else "str"
    return path.replace("}", f":{kind}}}")
