"""Clients who leave at any moment while work is done for them."""

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import TypeVar

import pytest

from gateway.web.body import ClientGone
from gateway.web.client_watch import ClientWatch

pytestmark = pytest.mark.anyio


T = TypeVar("T")


class Line:
    """A client's connection: silent until it leaves."""

    def __init__(self) -> None:
        self.left = asyncio.Event()
        self.listeners = 0

    async def receive(self) -> dict:
        self.listeners += 1
        try:
            await self.left.wait()
        finally:
            self.listeners -= 1
        return {"type": "http.disconnect"}


async def watched(line: Line, work: Awaitable[T]) -> T:
    worker = asyncio.current_task()
    assert worker is not None
    return await ClientWatch().unless_gone(worker, line.receive, work)


async def test_work_that_is_done_at_once_is_never_watched():
    line = Line()
    line.left.set()

    async def work() -> int:
        return 7

    assert await watched(line, work()) == 7
    await asyncio.sleep(0.3)
    assert line.listeners == 0


async def test_a_client_that_leaves_ends_the_work_and_is_told_apart_from_a_cancellation():
    line, ended = Line(), asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    asyncio.get_running_loop().call_later(0.3, line.left.set)
    with pytest.raises(ClientGone):
        await asyncio.wait_for(watched(line, work()), 5)
    assert ended.is_set()
    assert line.listeners == 0
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0, "the cancellation was left standing"


async def test_a_client_that_left_before_the_watch_began_is_seen():
    line = Line()
    line.left.set()
    with pytest.raises(ClientGone):
        await watched(line, asyncio.sleep(60))


async def test_a_cancellation_from_outside_stays_one():
    line = Line()
    waiting = asyncio.create_task(watched(line, asyncio.sleep(60)))
    await asyncio.sleep(0.3)
    assert line.listeners == 1
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.sleep(0)
    assert line.listeners == 0


async def test_a_cancellation_from_outside_wins_over_a_client_that_leaves():
    line = Line()
    waiting = asyncio.create_task(watched(line, asyncio.sleep(60)))
    await asyncio.sleep(0.3)
    line.left.set()
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises((asyncio.CancelledError, ClientGone)):
        await waiting


async def test_an_error_of_the_work_passes_unchanged_and_the_watch_ends():
    line = Line()

    async def work() -> None:
        await asyncio.sleep(0.3)
        raise KeyError("its own")

    with pytest.raises(KeyError):
        await watched(line, work())
    await asyncio.sleep(0)
    assert line.listeners == 0


async def test_a_result_that_comes_with_the_leave_is_one_of_the_two():
    for delay in (0.2, 0.25, 0.3):
        line = Line()
        asyncio.get_running_loop().call_later(delay, line.left.set)
        with contextlib.suppress(ClientGone):
            await watched(line, asyncio.sleep(delay))
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        await asyncio.sleep(0.01)  # A late cancellation would come now.
