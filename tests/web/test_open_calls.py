"""Calls that are ended from outside: the right ones, with a reason, and nothing is left of them."""

import asyncio

import pytest

from gateway.generation.errors import GatewayError, KeyRevoked
from gateway.web.auth import ANONYMOUS, ClientKey
from gateway.web.open_calls import OpenCalls

pytestmark = pytest.mark.anyio

ALICE, BOB = (ClientKey(name=name, digest=name.encode()) for name in ("alice", "bob"))


def present_task() -> asyncio.Task:
    task = asyncio.current_task()
    assert task is not None
    return task


async def serve(calls: OpenCalls, key: ClientKey) -> GatewayError | None:
    """Wait for ever, as a call does; return what ended it."""
    task = present_task()
    calls.begin(task, key)
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        return calls.reason(task)
    finally:
        calls.finish(task)
    return None


async def started(calls: OpenCalls, *keys: ClientKey) -> list[asyncio.Task]:
    tasks = [asyncio.create_task(serve(calls, key)) for key in keys]
    await asyncio.sleep(0)
    return tasks


async def test_only_the_calls_of_the_revoked_key_end() -> None:
    calls = OpenCalls()
    alice, bob, nobody = await started(calls, ALICE, BOB, ANONYMOUS)
    calls.revoke(frozenset([b"alice", b""]))
    assert isinstance(await alice, KeyRevoked)
    assert alice.cancelling() == 0
    assert not bob.done()
    assert not nobody.done()
    for task in (bob, nobody):
        task.cancel()
    await asyncio.wait([bob, nobody])


async def test_a_cancellation_from_elsewhere_stays_one() -> None:
    calls = OpenCalls()
    (task,) = await started(calls, ALICE)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_from_elsewhere_wins() -> None:
    calls = OpenCalls()
    (task,) = await started(calls, ALICE)
    calls.revoke(frozenset([b"alice"]))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_second_word_changes_nothing() -> None:
    calls = OpenCalls()
    (task,) = await started(calls, ALICE)
    for _ in range(3):
        calls.revoke(frozenset([b"alice"]))
    assert isinstance(await task, KeyRevoked)


async def test_nothing_is_kept_of_a_call_that_ends_by_itself_at_the_same_moment() -> None:
    calls = OpenCalls()

    async def deaf() -> None:
        calls.begin(present_task(), ALICE)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return
        finally:
            calls.finish(present_task())

    task = asyncio.create_task(deaf())
    await asyncio.sleep(0)
    calls.revoke(frozenset([b"alice"]))
    await task
    assert not calls._ended
    assert not calls._digests
