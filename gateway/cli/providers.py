"""The configured upstreams, opened without a gateway around them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from gateway.accounts.account import Account, configured_accounts
from gateway.config import Settings
from gateway.generation.errors import GatewayError
from gateway.plugin_api.protocols import Upstream, UpstreamContext
from gateway.plugin_api.registry import Registry
from gateway.transport import open_transport

__all__ = ["Provider", "ask_account", "open_providers"]


class Provider(msgspec.Struct, frozen=True):
    """An upstream and its accounts."""

    upstream: Upstream
    accounts: Sequence[Account]


@asynccontextmanager
async def open_providers(settings: Settings) -> AsyncIterator[Mapping[str, Provider]]:
    """Open every upstream; what one would keep lies in a folder that goes away.

    Raises:
        ConfigError: an upstream's table cannot be used.
        PluginError: its plugin is broken.
    """
    registry = Registry(settings.plugins.load)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="gateway-")))
        providers = {}
        for name, table in settings.upstreams.items():
            transport = await open_transport(table.http_client)
            stack.push_async_callback(transport.aclose)
            context = UpstreamContext(name=name, transport=transport, data_dir=folder)
            upstream = await registry.create_upstream(table, context)
            stack.push_async_callback(upstream.aclose)
            providers[name] = Provider(upstream, configured_accounts(name, table.accounts))
        yield providers


async def ask_account(upstream: Upstream, account: Account) -> tuple[bool, str]:
    """Return whether an account is served by its provider, and what was said."""
    try:
        models = await upstream.models(account)
    except GatewayError as error:
        return False, error.message
    return True, f"{len(models)} models"
