"""Hints are told in order, once each while they wait, and never without bound."""

import asyncio
from contextlib import aclosing

import pytest

from gateway.state.hints import Hints

pytestmark = pytest.mark.anyio


async def take(watcher, count: int) -> list[str]:
    async with asyncio.timeout(5):
        return [await anext(watcher) for _ in range(count)]


async def test_a_slow_watcher_is_told_of_each_key_once():
    hints = Hints()
    async with aclosing(hints.watch("t")) as watcher:
        assert await take(watcher, 1) == [""]
        for key in "abcabcab":
            hints.publish("t", key)
        hints.publish("u", "elsewhere")
        hints.publish("t", "d")

        assert await take(watcher, 4) == ["a", "b", "c", "d"]


async def test_a_change_while_the_watcher_works_is_told_again():
    hints = Hints()
    async with aclosing(hints.watch("t")) as watcher:
        await take(watcher, 1)
        hints.publish("t", "a")
        assert await take(watcher, 1) == ["a"]
        hints.publish("t", "a")

        assert await take(watcher, 1) == ["a"]


async def test_too_many_changes_become_one_word():
    hints = Hints()
    async with aclosing(hints.watch("t")) as watcher:
        await take(watcher, 1)
        for n in range(100_000):
            hints.publish("t", str(n))
        hints.publish("t", "last")

        seen = []
        while "last" not in seen:
            seen += await take(watcher, 1)
        assert "" in seen
        assert len(seen) < 2000


async def test_a_refresh_reaches_every_table():
    hints = Hints()
    async with aclosing(hints.watch("t")) as one, aclosing(hints.watch("u")) as two:
        assert await take(one, 1) + await take(two, 1) == ["", ""]
        hints.refresh()

        assert await take(one, 1) + await take(two, 1) == ["", ""]


async def test_a_watcher_that_left_is_forgotten():
    hints = Hints()
    for _ in range(100):
        async with aclosing(hints.watch("t")) as watcher:
            await take(watcher, 1)

    assert not hints._watchers
