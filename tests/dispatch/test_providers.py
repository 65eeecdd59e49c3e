"""Upstreams that come and go: opened before they serve, closed after their last call, never twice."""

import asyncio
from contextlib import asynccontextmanager

import msgspec
import pytest

from gateway.config import AccountSettings, DeadlineSettings, Settings, UpstreamSettings
from gateway.dispatch.providers import Providers
from gateway.plugin_api.registry import PluginError
from gateway.transport import Transport
from gateway.transport.over_httpx import OverHttpx

pytestmark = pytest.mark.anyio


class Opened:
    """An upstream that says whether it is open."""

    def __init__(self, context) -> None:
        self.transport = context.transport
        self.closed = 0

    async def aclose(self) -> None:
        self.closed += 1


class Shop:
    """A registry whose upstreams are all of one kind; `broken` ones cannot be opened."""

    def __init__(self) -> None:
        self.made: list[Opened] = []

    async def create_upstream(self, table, context) -> Opened:
        await asyncio.sleep(0)
        if table.options.get("broken"):
            raise PluginError("broken")
        self.made.append(Opened(context))
        return self.made[-1]


def settings(total: float = 0.2, /, **options) -> Settings:
    account = AccountSettings(id="a")
    return Settings(
        upstreams={
            name: UpstreamSettings(kind="k", accounts=(account,), options=given)
            for name, given in options.items()
        },
        deadlines=DeadlineSettings(total=total),
    )


@asynccontextmanager
async def opened(tmp_path, first: Settings):
    shop = Shop()
    providers = Providers(shop, tmp_path)
    providers.take(await providers.open(first), first)
    try:
        yield providers, shop
    finally:
        await providers.aclose()
    assert all(one.closed == 1 for one in shop.made)


async def change(providers: Providers, wanted: Settings) -> list[str]:
    accounts = providers.take(await providers.open(wanted), wanted)
    return [account.upstream for account in accounts]


async def test_what_has_not_changed_stays_open(tmp_path) -> None:
    async with opened(tmp_path, settings(one={}, two={})) as (providers, shop):
        one, two = shop.made
        assert await change(providers, settings(one={}, two={"base_url": "x"}, three={})) == [
            "one",
            "two",
            "three",
        ]
        assert len(shop.made) == 4
        assert providers.upstreams["one"] is one
        assert providers.upstreams["two"] is not two


async def test_one_that_is_gone_is_closed_when_no_call_can_use_it_any_more(tmp_path) -> None:
    async with opened(tmp_path, settings(one={}, two={})) as (providers, shop):
        one, two = shop.made
        table = providers.upstreams
        assert await change(providers, settings(two={})) == ["two"]
        assert set(table) == set(providers.accounts) == {"two"}
        assert providers.find_task_upstream("one", "a") is None
        await asyncio.sleep(0.1)
        assert (one.closed, two.closed) == (0, 0)
        await asyncio.sleep(0.3)
        assert (one.closed, two.closed) == (1, 0)


async def test_other_deadlines_are_another_connection(tmp_path) -> None:
    async with opened(tmp_path, settings(5.0, one={})) as (providers, shop):
        await change(providers, settings(7.0, one={}))
        assert [one.transport.deadlines.total for one in shop.made] == [5.0, 7.0]


async def test_another_http_client_is_another_connection(tmp_path) -> None:
    own = settings(one={})
    table = msgspec.structs.replace(own.upstreams["one"], http_client="httpx-aiohttp")
    async with opened(tmp_path, own) as (providers, shop):
        await change(providers, msgspec.structs.replace(own, upstreams={"one": table}))
        assert [type(one.transport) for one in shop.made] == [Transport, OverHttpx]
        assert shop.made[1].transport.deadlines == shop.made[0].transport.deadlines


async def test_one_that_cannot_be_opened_changes_nothing_and_leaves_nothing_open(tmp_path) -> None:
    async with opened(tmp_path, settings(one={})) as (providers, shop):
        with pytest.raises(PluginError):
            await providers.open(settings(one={}, two={}, three={"broken": True}))
        assert list(providers.upstreams) == ["one"]
        assert [one.closed for one in shop.made] == [0, 1]


async def test_what_is_not_taken_is_discarded(tmp_path) -> None:
    async with opened(tmp_path, settings(one={})) as (providers, shop):
        await providers.discard(await providers.open(settings(one={}, two={})))
        assert [one.closed for one in shop.made] == [0, 1]
