"""What operators do to accounts while the gateway runs: in use, out of use, tested. Admin keys only."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from litestar import Request, post
from litestar.handlers import BaseRouteHandler
from litestar.params import JSONBody

from gateway.accounts.account import Account
from gateway.accounts.records import disable, enable
from gateway.generation.errors import Forbidden, GatewayError, NotFound
from gateway.plugin_api.protocols import Upstream
from gateway.state.store import StateStore
from gateway.web.auth import KeyRing

__all__ = ["ACCOUNT_ROUTES", "AccountAdmin", "AccountName", "AccountTest"]

ACCOUNT_ROUTES = "/api/admin/accounts"

_Request = Request[Any, Any, Any]


class AccountName(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which account is meant."""

    upstream: str
    account: str


class AccountTest(msgspec.Struct, frozen=True):
    """What a provider said to an account; `models` is how many it offers, `error` is "" when all is well."""

    upstream: str
    account: str
    models: int
    error: str


class AccountAdmin:
    """The routes for operators. `accounts` changes with the configuration."""

    def __init__(
        self,
        keys: KeyRing,
        store: StateStore,
        upstreams: Mapping[str, Upstream],
        accounts: Mapping[str, Sequence[Account]],
    ) -> None:
        self._keys = keys
        self._store = store
        self._upstreams = upstreams
        self._accounts = accounts

    def routes(self) -> list[BaseRouteHandler]:
        """Return the handlers for Litestar."""

        @post(f"{ACCOUNT_ROUTES}/disable", status_code=200)
        async def disable_account(request: _Request, data: JSONBody[AccountName]) -> AccountName:
            self._find(request, data)
            await disable(self._store, data.upstream, data.account)
            return data

        @post(f"{ACCOUNT_ROUTES}/enable", status_code=200)
        async def enable_account(request: _Request, data: JSONBody[AccountName]) -> AccountName:
            self._find(request, data)
            await enable(self._store, data.upstream, data.account)
            return data

        @post(f"{ACCOUNT_ROUTES}/test", status_code=200)
        async def test_account(request: _Request, data: JSONBody[AccountName]) -> AccountTest:
            return await self._test(self._find(request, data))

        return [disable_account, enable_account, test_account]

    def _find(self, request: _Request, name: AccountName) -> Account:
        """Return the account that an operator names.

        Raises:
            Unauthorized, Forbidden: the caller is no operator.
            NotFound: no such account is configured.
        """
        if not self._keys.identify(dict(request.scope["headers"])).admin:
            raise Forbidden("an admin key is required")
        for account in self._accounts.get(name.upstream, ()):
            if account.id == name.account:
                return account
        raise NotFound(f"no account {name.account} of {name.upstream} is configured")

    async def _test(self, account: Account) -> AccountTest:
        """Ask the provider for its models: free of charge, and wrong tokens are refused."""
        try:
            models = await self._upstreams[account.upstream].models(account)
        except GatewayError as error:
            return AccountTest(account.upstream, account.id, 0, error.message)
        return AccountTest(account.upstream, account.id, len(models), "")
