"""One path on a port of its own, and nothing else there."""

from typing import Any

from litestar.types import ASGIApp, Receive, Scope, Send

__all__ = ["OwnPort"]

_NOWHERE = "/-"


class OwnPort:
    """Answers `path` where `port` listens and nowhere else, and all other paths everywhere but there."""

    def __init__(self, app: ASGIApp, path: str, port: int) -> None:
        self._app = app
        self._path = path
        self._port = port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event; what is on the wrong port is an unknown path."""
        here: Any = scope
        if (here["server"][1] == self._port) is not (here["path"] == self._path):
            here = {**here, "path": _NOWHERE, "raw_path": _NOWHERE.encode()}
        await self._app(here, receive, send)
