"""Waiting in turn: order, hand-over, cancellation at every point."""

import asyncio

import pytest

from gateway.accounts.waiting import WaitingRoom

pytestmark = pytest.mark.anyio


class Shop:
    """Things by name; the room takes from here."""

    def __init__(self) -> None:
        self.stock: list[str] = []
        self.room = WaitingRoom[str, str, str](self._take, self.stock.append)

    def _take(self, wish: str) -> str | None:
        if wish not in self.stock:
            return None
        self.stock.remove(wish)
        return wish

    def wait(self, wish: str, *lines: str, seconds: float = 5.0) -> "asyncio.Task[str | None]":
        return asyncio.create_task(self.room.wait(wish, lines or ("line",), seconds))


@pytest.fixture
def shop() -> Shop:
    return Shop()


async def test_first_come_first_served(shop):
    waiting = [shop.wait("bread") for _ in range(3)]
    await asyncio.sleep(0)
    shop.stock += ["bread"]
    assert shop.room.serve_one("line")
    assert not shop.room.serve_one("line")
    assert await waiting[0] == "bread"
    assert not waiting[1].done()
    shop.stock += ["bread", "bread"]
    assert shop.room.serve_one("line")
    assert shop.room.serve_one("line")
    assert await asyncio.gather(*waiting) == ["bread"] * 3
    assert not shop.room


async def test_who_cannot_be_served_does_not_stop_the_next(shop):
    cake, bread = shop.wait("cake"), shop.wait("bread")
    await asyncio.sleep(0)
    shop.stock += ["bread"]
    assert shop.room.serve_one("line")
    assert await bread == "bread"
    cake.cancel()
    await asyncio.wait([cake])
    assert not shop.room


async def test_time_runs_out(shop):
    assert await shop.wait("bread", seconds=0.01) is None
    assert not shop.room


async def test_dismissed_waiters_think_again(shop):
    waiting = [shop.wait("bread") for _ in range(2)]
    await asyncio.sleep(0)
    shop.room.dismiss("line")
    assert await asyncio.gather(*waiting) == [None, None]


async def test_one_thing_goes_to_one_waiter_over_several_lines(shop):
    waiter = shop.wait("bread", "a", "b")
    await asyncio.sleep(0)
    assert set(shop.room.lines()) == {"a", "b"}
    shop.stock += ["bread", "bread"]
    assert shop.room.serve_one("b")
    assert not shop.room.serve_one("a")
    assert await waiter == "bread"
    assert shop.stock == ["bread"]


async def test_a_thing_that_is_handed_to_a_leaver_is_put_back(shop):
    waiter = shop.wait("bread")
    await asyncio.sleep(0)
    shop.stock += ["bread"]
    shop.room.serve_one("line")
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert shop.stock == ["bread"]
    assert not shop.room


async def test_a_leaver_is_passed_over_before_its_task_has_run(shop):
    leaver, stayer = shop.wait("bread"), shop.wait("bread")
    await asyncio.sleep(0)
    leaver.cancel()
    shop.stock += ["bread"]
    assert shop.room.serve_one("line")
    assert await stayer == "bread"
    with pytest.raises(asyncio.CancelledError):
        await leaver
    assert shop.stock == []
