"""Generations that this process drives as tasks."""

import asyncio
from contextlib import AsyncExitStack, aclosing

import pytest

from gateway.generation.errors import InvalidRequest, NotFound, TaskFailed, UpstreamTimeout
from gateway.generation.events import Finish, Media, Progress, TextDelta, Thread
from gateway.tasks.task import State
from tests.tasks.scripted import ScriptedUpstream, opened, order

pytestmark = pytest.mark.anyio


@pytest.fixture
def upstream():
    return ScriptedUpstream()


@pytest.fixture
async def engine(store, leases, tmp_path, upstream):
    async with opened(store, leases, tmp_path, upstream) as engine:
        yield engine


def nothing():
    return AsyncExitStack()


async def collect(events):
    async with aclosing(events):
        return [event async for event in events]


async def status(engine, task_id):
    return (await engine.get("alice", task_id)).status


async def stream(*events, pause=0.0, error=None):
    for event in events:
        await asyncio.sleep(pause)
        yield event
    if error is not None:
        await asyncio.sleep(pause)
        raise error


PICTURE = Media("image", data=b"picture", media_type="image/png")


async def test_a_driven_generation_is_a_task_with_everything_it_made(engine, upstream, tmp_path):
    task = await engine.drive(
        order("cat"), stream(Thread("chat"), TextDelta("A cat."), PICTURE, Finish(), pause=0.01), nothing()
    )
    events = await collect(engine.follow(task.id))
    text, picture, finish = events[-3:]
    assert (text, finish) == (TextDelta("A cat."), Finish())
    assert picture.url.startswith("/media/")
    assert not picture.data
    (kept,) = (tmp_path / "media/media").iterdir()
    assert kept.read_bytes() == b"picture"
    await engine.delete("alice", task.id)
    assert not list((tmp_path / "media/media").iterdir())


async def test_a_drive_that_fails_before_its_first_sign_leaves_no_task(engine):
    with pytest.raises(InvalidRequest):
        await engine.drive(order("cat"), stream(Thread("chat"), error=InvalidRequest("no")), nothing())
    with pytest.raises(NotFound):
        await engine.get("alice", order("cat").id)


async def test_a_drive_that_fails_later_is_a_failed_task(engine):
    events = stream(TextDelta("A"), error=UpstreamTimeout("late", sent=True), pause=0.05)
    task = await engine.drive(order("cat"), events, nothing())
    with pytest.raises(TaskFailed) as told:
        await collect(engine.follow(task.id))
    assert told.value.code == "upstream_timeout"


async def test_a_drive_whose_process_is_gone_is_ambiguous(store, leases, tmp_path, upstream, monkeypatch):
    monkeypatch.setattr("gateway.tasks.grip.HOLD_SECONDS", 0.3)
    monkeypatch.setattr("gateway.tasks.poller.HOLD_SECONDS", 0.3)
    monkeypatch.setattr("gateway.tasks.engine._DRAIN_SECONDS", 0.0)
    async with opened(store, leases, tmp_path, upstream) as engine:
        task = await engine.drive(order("cat"), stream(TextDelta("A"), PICTURE, pause=0.2), nothing())
    async with opened(store, leases, tmp_path, upstream) as engine:
        with pytest.raises(TaskFailed) as told:
            await collect(engine.follow(task.id))
        assert told.value.code == "create_ambiguous"


async def test_a_process_that_is_told_to_end_finishes_what_it_drives(store, leases, tmp_path, upstream):
    async with opened(store, leases, tmp_path, upstream) as engine:
        events = stream(TextDelta("A"), PICTURE, Finish(), pause=0.2)
        task = await engine.drive(order("cat"), events, nothing())
    async with opened(store, leases, tmp_path, upstream) as engine:
        assert await status(engine, task.id) == "completed"


async def test_a_drive_keeps_its_task_for_as_long_as_it_takes(store, leases, tmp_path, upstream, monkeypatch):
    monkeypatch.setattr("gateway.tasks.grip.HOLD_SECONDS", 0.15)
    monkeypatch.setattr("gateway.tasks.poller.HOLD_SECONDS", 0.15)
    async with opened(store, leases, tmp_path, upstream) as engine:
        events = stream(TextDelta("A"), Progress(0.5), PICTURE, Finish(), pause=0.3)
        task = await engine.drive(order("cat"), events, nothing())
        assert (await collect(engine.follow(task.id)))[-1] == Finish()


async def test_cancelling_a_drive_closes_its_stream_and_gives_its_account_back(
    store, leases, tmp_path, upstream, monkeypatch
):
    monkeypatch.setattr("gateway.tasks.grip.HOLD_SECONDS", 0.3)
    closed = asyncio.Event()

    async def endless():
        try:
            yield TextDelta("A")
            await asyncio.sleep(60)
        finally:
            closed.set()

    left = asyncio.Event()

    async def leave():
        left.set()

    lease = AsyncExitStack()
    lease.push_async_callback(leave)
    async with opened(store, leases, tmp_path, upstream) as engine:
        task = await engine.drive(order("cat"), endless(), lease)
        assert (await engine.cancel("alice", task.id)).error_code == "cancelled"
        async with asyncio.timeout(2):
            await closed.wait()
            await left.wait()


async def test_a_sign_of_life_takes_no_step_back(engine, store, monkeypatch):
    monkeypatch.setattr("gateway.tasks.grip._BEATS", 120)
    put = store.put

    async def put_slowly(*args, **options):
        await asyncio.sleep(0.12)
        return await put(*args, **options)

    monkeypatch.setattr(store, "put", put_slowly)
    task = await engine.drive(order("cat"), stream(TextDelta("A cat."), Finish(), pause=1.0), nothing())
    await asyncio.sleep(0.5)
    assert await engine.find_state(task.id) is State.ACCEPTED
