"""Which upstreams are asked for a chat type, and in which order."""

from collections.abc import Mapping

import msgspec

from gateway.generation.errors import InvalidRequest
from gateway.generation.requests import GenerationRequest
from gateway.plugin_api.protocols import Mode, Upstream

__all__ = ["Choices", "Routing", "Tiers"]

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

    def choices(self, request: GenerationRequest, serving: frozenset[str]) -> "Choices":
        """Return those among `serving` that can serve the request.

        Raises:
            InvalidRequest: none can.
        """
        upstreams = self.upstreams
        tiers = []
        modes: dict[str, Mode] = {}
        for tier in self._routes.get(request.chat_type, self._everything):
            able = []
            for name in tier:
                upstream = upstreams.get(name) if name in serving else None
                if upstream is not None and (mode := upstream.mode(request)) is not None:
                    able.append(name)
                    modes[name] = mode
            if able:
                tiers.append(tuple(able))
        if not tiers:
            raise _unserved(request.chat_type)
        return Choices(request.chat_type, tuple(tiers), modes, _only(modes))


class Choices(msgspec.Struct, frozen=True, gc=False):
    """Who may serve one request, in order of preference, and how each of them does it; never nobody."""

    chat_type: str
    tiers: Tiers
    modes: Mapping[str, Mode]
    only_mode: Mode | None
    """The mode that all of them have, None where they differ."""

    def in_mode(self, wanted: Mode) -> Tiers:
        """Return those that serve it in one mode.

        Raises:
            InvalidRequest: none does.
        """
        if wanted is self.only_mode:
            return self.tiers
        kept = (tuple(name for name in tier if self.modes[name] is wanted) for tier in self.tiers)
        tiers = tuple(filter(None, kept))
        if not tiers:
            raise _unserved(self.chat_type)
        return tiers


def _only(modes: Mapping[str, Mode]) -> Mode | None:
    first, *others = modes.values()
    return None if others and any(mode is not first for mode in others) else first


def _unserved(chat_type: str) -> InvalidRequest:
    return InvalidRequest(f"no configured upstream can serve this {chat_type} request")


def _tiers(row: tuple[str | tuple[str, ...], ...]) -> Tiers:
    return tuple((entry,) if isinstance(entry, str) else entry for entry in row)
