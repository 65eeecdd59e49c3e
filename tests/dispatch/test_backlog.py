"""What waits for a store: in which order it goes, what is given up, what is added meanwhile."""

import asyncio

import msgspec
import pytest

from gateway.dispatch.backlog import Backlog
from gateway.state.store import StoreUnavailable

pytestmark = pytest.mark.anyio


class Tally(msgspec.Struct, frozen=True):
    id: str
    marks: str = ""


def mark(letter):
    return lambda tally: msgspec.structs.replace(tally, marks=tally.marks.replace(letter, "") + letter)


class Store:
    """A store that is away until it is told otherwise."""

    def __init__(self):
        self.away = True
        self.written = {}
        self.gate = asyncio.Event()
        self.gate.set()

    async def write(self, tally, step):
        if self.away:
            raise StoreUnavailable("away")
        await self.gate.wait()
        self.written[tally.id] = step(self.written.get(tally.id, tally))


@pytest.fixture
def store(monkeypatch):
    monkeypatch.setattr("gateway.dispatch.backlog._PAUSE_SECONDS", 0.01)
    return Store()


async def test_steps_are_made_at_once_and_written_when_the_store_is_back(store):
    backlog = Backlog(store.write)
    store.written["a"] = Tally("a", "x")
    for letter in "12":
        backlog.add(Tally("a", "x"), mark(letter))
    backlog.add(Tally("b"), mark("3"))
    assert backlog.find("a") == Tally("a", "x12")
    await asyncio.sleep(0.03)
    assert store.written == {"a": Tally("a", "x")}
    store.away = False
    while backlog.find("a") or backlog.find("b"):
        await asyncio.sleep(0.005)
    assert store.written == {"a": Tally("a", "x12"), "b": Tally("b", "3")}


async def test_what_is_added_while_the_rest_is_written_is_written_too(store):
    backlog = Backlog(store.write)
    store.away = False
    store.gate.clear()
    backlog.add(Tally("a"), mark("1"))
    await asyncio.sleep(0.01)
    backlog.add(Tally("a"), mark("2"))
    store.gate.set()
    while backlog.find("a"):
        await asyncio.sleep(0.005)
    assert store.written["a"] == Tally("a", "12")


async def test_too_much_gives_up_what_changed_longest_ago(store):
    size = len(msgspec.json.encode(Tally("a", "1")))
    backlog = Backlog(store.write, most=2 * size + 1)
    for name in "ab":
        backlog.add(Tally(name), mark("1"))
    backlog.add(Tally("a"), mark("1"))
    backlog.add(Tally("c"), mark("1"))
    assert [backlog.find(name) is not None for name in "abc"] == [True, False, True]
    await backlog.aclose()


async def test_the_end_writes_what_can_be_written(store):
    backlog = Backlog(store.write)
    backlog.add(Tally("a"), mark("1"))
    await backlog.aclose()
    assert store.written == {}
    store.away = False
    backlog.add(Tally("b"), mark("1"))
    await backlog.aclose()
    assert set(store.written) == {"a", "b"}
    await backlog.aclose()
