"""What operators do to client keys while the gateway runs: look, take back, give back. Admin keys only."""

from collections.abc import Sequence
from typing import Any

import msgspec
from litestar import Request, get, post
from litestar.handlers import BaseRouteHandler
from litestar.params import JSONBody

from gateway.generation.errors import Forbidden
from gateway.web.auth import KeyRing, KeyView
from gateway.web.revocation import Revocations

__all__ = ["KEY_ROUTES", "KeyAdmin", "KeyName"]

KEY_ROUTES = "/api/admin/keys"


class KeyName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which key is meant."""

    name: str


class KeyAdmin:
    """The routes for operators."""

    def __init__(self, keys: KeyRing, revocations: Revocations) -> None:
        self._keys = keys
        self._revocations = revocations

    def routes(self) -> list[BaseRouteHandler]:
        """Return the handlers for Litestar."""

        @get(KEY_ROUTES, sync_to_thread=False)
        def list_keys(request: Request[Any, Any, Any]) -> Sequence[KeyView]:
            self._check_operator(request)
            return self._keys.list()

        @post(f"{KEY_ROUTES}/revoke", status_code=200)
        async def revoke_key(request: Request[Any, Any, Any], data: JSONBody[KeyName]) -> KeyName:
            self._check_operator(request)
            await self._revocations.revoke(data.name)
            return data

        @post(f"{KEY_ROUTES}/restore", status_code=200)
        async def restore_key(request: Request[Any, Any, Any], data: JSONBody[KeyName]) -> KeyName:
            self._check_operator(request)
            await self._revocations.restore(data.name)
            return data

        return [list_keys, revoke_key, restore_key]

    def _check_operator(self, request: Request[Any, Any, Any]) -> None:
        """Raise `Unauthorized` or `Forbidden` for anybody else."""
        if not self._keys.identify(dict(request.scope["headers"])).admin:
            raise Forbidden("an admin key is required")
