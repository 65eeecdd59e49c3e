"""Several gateways as their operator runs them: one configuration, one state, a process each."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec

from tests.process import Running, running

__all__ = ["Fleet", "configure", "fleet", "status_of"]

_CONFIG = """
{head}
[upstreams.qwen]
kind = "qwen_chat"
base_url = "{base_url}"
{options}
{accounts}
[state]
url = "{state}"
[log]
format = "json"
{tables}
"""


def configure(
    base_url: str,
    accounts: Sequence[str],
    *,
    state: str = "sqlite:///./gateway.db",
    account: str = "",
    options: str = "",
    head: str = "",
    tables: str = "",
) -> str:
    """Return a configuration; account `a` has the token `token-a`. The rest is TOML for its place.

    `account` goes into every account's table, `options` into the upstream's, `head` before all tables.
    """
    rows = (
        f'[[upstreams.qwen.accounts]]\nid = "{id_}"\ntoken = "token-{id_}"\n{account}' for id_ in accounts
    )
    return _CONFIG.format(
        head=head, base_url=base_url, options=options, accounts="\n".join(rows), state=state, tables=tables
    )


class Fleet(msgspec.Struct, frozen=True):
    """Gateways in step; `clients` has an HTTP client for each of `gateways`."""

    gateways: Sequence[Running]
    clients: Sequence[httpx.AsyncClient]

    def client(self, number: int) -> httpx.AsyncClient:
        """Return the client of one gateway, counted round and round."""
        return self.clients[number % len(self.clients)]

    def events(self, name: str) -> list[list[dict[str, Any]]]:
        """Return the log's entries of one name, for each gateway."""
        return [_events(gateway.logged(), name) for gateway in self.gateways]


@asynccontextmanager
async def fleet(folder: Path, config: str, size: int = 1) -> AsyncIterator[Fleet]:
    """Run `size` gateways with one configuration."""
    async with AsyncExitStack() as stack:
        rooms = [folder / f"gateway-{number}" for number in range(size)]
        gateways = [running(_made(room), config) for room in rooms]
        for gateway in gateways:
            stack.callback(gateway.__exit__, None, None, None)
        # In threads: what they need in order to start may be served by this very loop.
        started = await asyncio.gather(*(asyncio.to_thread(gateway.__enter__) for gateway in gateways))
        clients = [await stack.enter_async_context(_client(gateway.url)) for gateway in started]
        yield Fleet(started, clients)


async def status_of(client: httpx.AsyncClient) -> dict[tuple[str, str], dict[str, Any]]:
    """Return what a gateway knows of its accounts, by account and chat type."""
    accounts = (await client.get("/api/status")).json()["accounts"]
    return {(account["account"], account["chat_type"]): account for account in accounts}


def _client(url: str) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=200)
    return httpx.AsyncClient(base_url=url, timeout=90, limits=limits)


def _made(room: Path) -> Path:
    room.mkdir()
    return room


def _events(log: str, name: str) -> list[dict[str, Any]]:
    lines = (line for line in log.splitlines() if line.startswith("{"))
    found = (msgspec.json.decode(line) for line in lines)
    return [entry for entry in found if entry["event"] == name]
