"""The table of addresses: every dialect's routes on lean paths, the operators' on Litestar's own."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from litestar import asgi
from litestar.handlers import BaseRouteHandler

from gateway.dialects.base import Dialect, Purpose, Route
from gateway.web.auth import KeyRing
from gateway.web.exchange import Handler
from gateway.web.lean import LeanLimits, LeanPath

__all__ = ["by_path", "lean_routes"]


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
    dialects: Iterable[Dialect], handlers: Mapping[Purpose, Handler], keys: KeyRing, limits: LeanLimits
) -> list[BaseRouteHandler]:
    """Return one ASGI handler for each path."""
    return [
        asgi(_litestar_path(path), copy_scope=False)(LeanPath(methods, handlers, keys, limits).serve)
        for path, methods in by_path(dialects).items()
    ]


def _litestar_path(path: str) -> str:
    """Say a path's parameters in Litestar's words; model ids may hold slashes."""
    kind = "path" if path.startswith("/v1/models/") else "str"
    return path.replace("}", f":{kind}}}")
