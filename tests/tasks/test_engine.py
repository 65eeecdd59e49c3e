"""Making, following, stopping and forgetting tasks, with answers lost and stores away."""

import asyncio
import time
import tracemalloc
from contextlib import AsyncExitStack, aclosing

import msgspec
import pytest

from gateway.generation.errors import (
    AmbiguousSubmit,
    Conflict,
    InvalidRequest,
    NotFound,
    PollTimeout,
    StorageUnavailable,
    TaskFailed,
    TaskIdMissing,
    UpstreamTimeout,
)
from gateway.generation.events import Finish, Progress
from gateway.plugin_api.protocols import TaskState
from tests.tasks.scripted import FILM, ScriptedUpstream, open_archive, opened, order, until

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


async def status(engine, task_id, owner="alice"):
    return (await engine.get(owner, task_id)).status


async def completed(engine, task_id):
    await until(lambda: _is(engine, task_id, "completed"))


async def _is(engine, task_id, word):
    return await status(engine, task_id) == word


async def test_a_task_is_submitted_once_and_followed_to_its_end(engine, upstream):
    upstream.seconds = 0.15
    task = await engine.submit(order("film"), upstream, nothing())
    events = await collect(engine.follow(task.id))
    assert events[-2:] == [FILM, Finish()]
    shown = [event.fraction for event in events if isinstance(event, Progress)]
    assert shown == sorted(shown)
    assert upstream.submits["film"] == 1


async def test_the_intent_is_stored_before_the_submit_and_the_id_before_the_answer(engine, upstream, store):
    seen = []

    async def look(upstream, prepared):
        seen.append(await store.get("tasks", order("film").id))

    upstream.on_submit = look
    task = await engine.submit(order("film"), upstream, nothing())
    assert b'"submitting"' in seen[0].value
    assert b'"reference":"film"' in seen[0].value
    stored = await store.get("tasks", task.id)
    assert b"provider-film" in stored.value


async def test_a_refused_submit_leaves_no_task(engine, upstream):
    async def refuse(upstream, prepared):
        raise InvalidRequest("no")

    upstream.on_submit = refuse
    with pytest.raises(InvalidRequest):
        await engine.submit(order("film"), upstream, nothing())
    with pytest.raises(NotFound):
        await engine.get("alice", order("film").id)


@pytest.mark.parametrize("lost", [UpstreamTimeout("late", sent=True), RuntimeError("a plugin's fault")])
async def test_a_lost_answer_is_told_with_the_id_and_the_task_found_again(engine, upstream, lost):
    async def accept_and_lose(upstream, prepared):
        upstream.accept(prepared)
        raise lost

    upstream.on_submit = accept_and_lose
    with pytest.raises(AmbiguousSubmit) as told:
        await engine.submit(order("film"), upstream, nothing())
    assert told.value.task_id == order("film").id
    assert told.value.client_may_retry is False
    await completed(engine, told.value.task_id)
    assert upstream.submits["film"] == 1


async def test_a_missing_task_id_keeps_its_own_word(engine, upstream):
    async def forget(upstream, prepared):
        raise TaskIdMissing("Task ID not found in response", sent=True)

    upstream.on_submit = forget
    with pytest.raises(TaskIdMissing) as told:
        await engine.submit(order("film"), upstream, nothing())
    assert await status(engine, told.value.task_id) == "processing"


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_store_that_fails_before_the_submit_sends_nothing(engine, upstream, store, when):
    store.fail = lambda method: when if method == "put" else None
    with pytest.raises(StorageUnavailable):
        await engine.submit(order("film"), upstream, nothing())
    assert not upstream.submits


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_store_that_fails_after_the_submit_is_no_reason_to_submit_again(
    engine, upstream, store, when
):
    async def break_store(upstream, prepared):
        store.fail = lambda method: when

    upstream.on_submit = break_store
    with pytest.raises(AmbiguousSubmit) as told:
        await engine.submit(order("film"), upstream, nothing())
    assert told.value.client_may_retry is False
    assert told.value.task_id
    store.fail = lambda method: None
    await completed(engine, told.value.task_id)
    assert upstream.submits["film"] == 1


async def test_a_caller_that_leaves_during_the_submit_loses_nothing(engine, upstream):
    going = asyncio.Event()

    async def dawdle(upstream, prepared):
        going.set()
        await asyncio.sleep(0.1)

    upstream.on_submit = dawdle
    left = False

    async def leave():
        nonlocal left
        left = True

    lease = AsyncExitStack()
    lease.push_async_callback(leave)
    calling = asyncio.ensure_future(engine.submit(order("film"), upstream, lease))
    await going.wait()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert not left, "the account is busy until the provider has answered"
    await completed(engine, order("film").id)
    assert left
    assert upstream.submits["film"] == 1


async def test_one_id_is_submitted_under_once(engine, upstream):
    outcomes = await asyncio.gather(
        *(engine.submit(order("film"), upstream, nothing()) for _ in range(20)), return_exceptions=True
    )
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 19
    assert upstream.submits["film"] == 1


async def test_two_rooms_over_one_store_agree_on_one_submit(store, leases, tmp_path, upstream):
    async with (
        opened(store, leases, tmp_path, upstream) as one,
        opened(store, leases, tmp_path, upstream) as two,
    ):
        outcomes = await asyncio.gather(
            *(room.submit(order("film"), upstream, nothing()) for room in (one, two)), return_exceptions=True
        )
        assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 1
        assert [type(event) for event in await collect(two.follow(order("film").id))][-1] is Finish


async def test_a_waiter_times_out_by_the_clock_and_the_task_goes_on(store, leases, tmp_path, upstream):
    upstream.seconds = 0.4
    async with opened(store, leases, tmp_path, upstream, poll_attempts=2) as engine:
        task = await engine.submit(order("film"), upstream, nothing())
        began = time.monotonic()
        with pytest.raises(PollTimeout) as told:
            await collect(engine.follow(task.id))
        assert 0.1 <= time.monotonic() - began < 0.3
        assert told.value.task_id == task.id
        await completed(engine, task.id)


async def test_a_waiter_outlives_a_store_that_is_away(engine, upstream, store):
    upstream.seconds = 0.2
    task = await engine.submit(order("film"), upstream, nothing())
    waiting = asyncio.ensure_future(collect(engine.follow(task.id)))
    await asyncio.sleep(0.05)
    store.fail = lambda method: "before"
    await asyncio.sleep(0.5)
    store.fail = lambda method: None
    assert (await waiting)[-1] == Finish()


async def test_results_are_readable_after_the_provider_forgot_them(engine, upstream):
    task = await engine.submit(order("film"), upstream, nothing())
    await completed(engine, task.id)
    upstream.accepted.clear()
    assert (await collect(engine.follow(task.id)))[0] == FILM


async def test_a_failed_task_raises_the_providers_word(engine, upstream):
    async def fail(upstream, task):
        return TaskState("failed", error_code="content_filter", error_message="no")

    upstream.on_poll = fail
    task = await engine.submit(order("film"), upstream, nothing())
    with pytest.raises(TaskFailed) as told:
        await collect(engine.follow(task.id))
    assert told.value.code == "content_filter"


async def test_foreign_and_unknown_tasks_answer_alike(engine, upstream):
    task = await engine.submit(order("film"), upstream, nothing())
    for act in (engine.get, engine.request, engine.cancel, engine.delete):
        heard = []
        for owner, task_id in (("bob", task.id), ("alice", "0" * 32)):
            with pytest.raises(NotFound) as told:
                await act(owner, task_id)
            heard.append((told.value.message, told.value.code))
        assert heard[0] == heard[1]


async def test_cancelling_depends_on_the_provider(engine, upstream):
    upstream.seconds = 60
    task = await engine.submit(order("film"), upstream, nothing())
    with pytest.raises(Conflict):
        await engine.cancel("alice", task.id)
    with pytest.raises(Conflict):
        await engine.delete("alice", task.id)
    upstream.cancellable = True
    assert (await engine.cancel("alice", task.id)).error_code == "cancelled"
    with pytest.raises(Conflict):
        await engine.cancel("alice", task.id)
    await engine.delete("alice", task.id)
    with pytest.raises(NotFound):
        await engine.get("alice", task.id)


async def test_lists_filter_and_page(engine, upstream):
    for at in range(7):
        upstream.seconds = 0 if at % 2 else 60
        await engine.submit(order(f"film {at}"), upstream, nothing())
    await until(lambda: _count(engine, "completed", 3))
    first = await engine.list("alice", after=None, limit=4, newest_first=False)
    rest = await engine.list("alice", after=first.items[-1].id, limit=4, newest_first=False)
    assert [view.prompt for view in (*first.items, *rest.items)] == [f"film {at}" for at in range(7)]
    assert (first.more, rest.more) == (True, False)
    assert not (await engine.list("bob", after=None, limit=4, newest_first=True)).items
    none = await engine.list("alice", after=None, limit=4, newest_first=True, chat_type="t2i")
    assert not none.items


async def _count(engine, word, number):
    page = await engine.list("alice", after=None, limit=20, newest_first=True, status=word)
    return len(page.items) == number


async def test_many_waiters_cost_little(engine, upstream):
    upstream.seconds = 60
    task = await engine.submit(order("film"), upstream, nothing())

    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    waiting = [asyncio.ensure_future(collect(engine.follow(task.id))) for _ in range(200)]
    await asyncio.sleep(0.3)
    each = (tracemalloc.get_traced_memory()[0] - before) / len(waiting)
    tracemalloc.stop()
    for waiter in waiting:
        waiter.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert each < 30_000


PATIENT = {"poll_interval_seconds": 0.01, "poll_attempts": 1000}


async def test_failing_archive_delays_and_then_gives_the_providers_address(store, leases, tmp_path, upstream):
    archive = open_archive(tmp_path)
    tries = []

    async def keep(media):
        tries.append(media)
        raise StorageUnavailable("full")

    archive.keep = keep
    async with opened(store, leases, tmp_path, upstream, archive=archive, **PATIENT) as engine:
        task = await engine.submit(order("film"), upstream, nothing())
        assert (await collect(engine.follow(task.id)))[-2] == FILM
        assert len(tries) == 6


async def test_a_private_film_waits_for_its_archive(store, leases, tmp_path, upstream):
    archive = open_archive(tmp_path)
    full = True

    async def keep(media):
        if full:
            raise StorageUnavailable("full")
        return msgspec.structs.replace(media, url="/media/kept.mp4", private=False)

    archive.keep = keep
    upstream.media = (msgspec.structs.replace(FILM, private=True),)
    async with opened(store, leases, tmp_path, upstream, archive=archive, **PATIENT) as engine:
        task = await engine.submit(order("film"), upstream, nothing())
        await until(lambda: upstream.polls["provider-film"] > 7)
        assert await status(engine, task.id) == "processing"
        full = False
        assert (await collect(engine.follow(task.id)))[-2].url == "/media/kept.mp4"
