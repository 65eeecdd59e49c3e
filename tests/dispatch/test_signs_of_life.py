"""Calls under way tell other processes that they are: all by one timer, and none in the way of another."""

import asyncio

import msgspec
import pytest

from gateway.dispatch.idempotency import Idempotency
from gateway.generation import requests
from gateway.generation.events import Finish, TextDelta
from gateway.state.store import StoreUnavailable
from tests.dispatch.scripted import Upstream, ask, house

pytestmark = pytest.mark.anyio


class Claims:
    """Keyed texts under way that have said a word and then say nothing more."""

    def __init__(self, home):
        self._store = home.store
        self._once = Idempotency(home.store, home.tasks, home.dispatcher._archive)
        self._home = home

    async def begin(self, key):
        caller = requests.Caller(owner="alice", request_id="r", idempotency_key=key)
        answer = await self._once.enter("/", caller, await self._home.open(ask("hi")))
        events = answer.events()
        await anext(events)
        return events

    async def alive(self):
        """Return until when each claim is surely at work, by its record's name."""
        records = await self._store.scan("idempotency")
        return {record.key: msgspec.json.decode(record.value)["alive"] for record in records}


@pytest.fixture
async def claims(tmp_path, monkeypatch):
    monkeypatch.setattr("gateway.dispatch.idempotency._BEAT_SECONDS", 0.05)
    async with house(
        tmp_path, {"a": Upstream((TextDelta("well"), 60.0, Finish()), chat_types=["t2t"])}
    ) as home:
        claims = Claims(home)
        yield claims
        assert not claims._once._heartbeat


def freezing(monkeypatch, store, method, name):
    """Let the store answer nothing any more about one record; returns where it says that it was asked."""
    asked, working = asyncio.Queue(), getattr(store, method)

    async def freeze(table, record, **options):
        if name in (record, getattr(record, "key", "")):
            asked.put_nowait(method)
            await asyncio.Event().wait()
        return await working(table, record, **options)

    monkeypatch.setattr(store, method, freeze)
    return asked


async def test_every_call_under_way_shows_signs_of_life(claims):
    calls = [await claims.begin(f"key {number}") for number in range(100)]
    before = await claims.alive()
    await asyncio.sleep(0.5)
    after = await claims.alive()
    assert len(before) == 100
    assert all(after[name] > until for name, until in before.items())
    for events in calls:
        await events.aclose()
    assert await claims.alive() == {}


async def test_one_record_that_cannot_be_reached_silences_nobody_else(claims, monkeypatch):
    calls = [await claims.begin(f"key {number}") for number in range(3)]
    before = await claims.alive()
    frozen, failing, _ = before
    working = claims._store.get

    async def fail(table, key):
        if key == failing:
            raise StoreUnavailable("away")
        return await working(table, key)

    with monkeypatch.context() as patched:
        patched.setattr(claims._store, "get", fail)
        asked = freezing(patched, claims._store, "put", frozen)
        await asked.get()
        await asyncio.sleep(0.3)
        assert asked.empty(), "a renewal began before the last one was over"
        after = await claims.alive()
        assert {name for name in before if after[name] > before[name]} == set(before) - {frozen, failing}
    await asyncio.sleep(0.3)
    assert (await claims.alive())[failing] > before[failing]
    for events in calls:
        await events.aclose()


@pytest.mark.parametrize("method", ["get", "put"])
async def test_a_call_that_ends_in_the_middle_of_its_renewal_leaves_nothing_behind(
    claims, monkeypatch, method
):
    events = await claims.begin("key")
    (name,) = await claims.alive()
    with monkeypatch.context() as patched:
        await freezing(patched, claims._store, method, name).get()
        patched.undo()
        async with asyncio.timeout(5):
            await events.aclose()
    assert await claims.alive() == {}


async def test_a_call_that_is_cancelled_in_the_middle_of_its_renewal_is_cancelled(claims, monkeypatch):
    events = await claims.begin("key")
    (name,) = await claims.alive()
    waiting = asyncio.create_task(anext(events))
    with monkeypatch.context() as patched:
        await freezing(patched, claims._store, "put", name).get()
        patched.undo()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert await claims.alive() == {}
