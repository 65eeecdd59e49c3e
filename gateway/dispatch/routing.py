"""Which upstreams are asked for a chat type, and in which order."""

from collections.abc import Callable, Mapping

from gateway.generation.errors import InvalidRequest
from gateway.generation.requests import GenerationRequest
from gateway.plugin_api.protocols import Mode, Upstream

__all__ = ["Routing", "Tiers"]

Tiers = tuple[tuple[str, ...], ...]
"""Upstream names in order of preference; those within one tier are equals."""


class Routing:
    """The `[routes]` table over the upstreams that there are.

    A chat type without a row is routed to every upstream, in the order of the file. `upstreams` may change
    at any time: one that is gone serves nobody.
    """

    def __init__(
        self, upstreams: Mapping[str, Upstream], routes: Mapping[str, tuple[str | tuple[str, ...], ...]]
    ) -> None:
        self.upstreams = upstreams
        self._routes = {chat_type: _tiers(row) for chat_type, row in routes.items()}
        self._everything = tuple((name,) for name in upstreams)

    def tiers(self, request: GenerationRequest, serving: frozenset[str], mode: Mode | None = None) -> Tiers:
        """Return the upstreams that can serve the request, in `mode` if one is given.

        Raises:
            InvalidRequest: none can.
        """
        wanted: Callable[[Mode | None], bool] = (lambda found: found is mode) if mode else bool
        tiers = self._routes.get(request.chat_type, self._everything)
        upstreams = self.upstreams
        possible = []
        for tier in tiers:
            kept = [
                name
                for name in tier
                if name in serving and name in upstreams and wanted(upstreams[name].mode(request))
            ]
            if kept:
                possible.append(tuple(kept))
        if not possible:
            raise InvalidRequest(f"no configured upstream can serve this {request.chat_type} request")
        return tuple(possible)


def _tiers(row: tuple[str | tuple[str, ...], ...]) -> Tiers:
    return tuple((entry,) if isinstance(entry, str) else entry for entry in row)
