"""Driving tasks to their ends: budgets, claims, absent accounts, lost providers, old age."""

import asyncio
import time
from collections import defaultdict
from contextlib import AsyncExitStack
from itertools import pairwise

import msgspec
import pytest

from gateway.accounts.account import Account
from gateway.generation.errors import AccountRejected, AmbiguousSubmit, UpstreamUnavailable
from gateway.generation.events import Media
from gateway.generation.turns import Turn
from gateway.plugin_api.protocols import TaskState
from gateway.state.memory_leases import MemoryLeases
from gateway.state.sqlite import SqliteStore
from gateway.tasks.submission import intend
from gateway.tasks.task import State
from tests.bench.films import count_busiest
from tests.tasks.scripted import ACCOUNT, FILM, ScriptedUpstream, opened, order, until

pytestmark = pytest.mark.anyio


async def submitted(engine, upstream, prompt="film", account=ACCOUNT):
    return await engine.submit(order(prompt, account=account), upstream, AsyncExitStack())


async def status(engine, task):
    return (await engine.get("alice", task.id)).status


async def ended(engine, task, word="completed"):
    async def is_so():
        return await status(engine, task) == word

    await until(is_so)
    return await engine.get("alice", task.id)


async def test_no_task_is_polled_more_often_than_the_interval(store, leases, tmp_path):
    upstream = ScriptedUpstream(seconds=1.0)
    async with (
        opened(store, leases, tmp_path, upstream, poll_interval_seconds=0.2) as one,
        opened(store, leases, tmp_path, upstream, poll_interval_seconds=0.2) as two,
    ):
        task = await submitted(one, upstream)
        await asyncio.gather(ended(one, task), ended(two, task))
        times = [at for _, at in upstream.poll_times]
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert gaps
        assert min(gaps) >= 0.19
        assert upstream.polls["provider-film"] <= 6


async def test_an_accounts_budget_holds_over_all_replicas(store, leases, tmp_path):
    upstream = ScriptedUpstream(seconds=60)
    tasks = {"polls_per_second": 10, "poll_interval_seconds": 0.01}
    async with AsyncExitStack() as stack:
        rooms = [
            await stack.enter_async_context(opened(store, leases, tmp_path, upstream, **tasks))
            for _ in range(3)
        ]
        for at in range(30):
            await submitted(rooms[at % 3], upstream, f"film {at}")
        await asyncio.sleep(2.5)
    times = [at for _, at in upstream.poll_times]
    assert count_busiest(times) <= 10
    assert count_busiest(times, 0.5) <= 6, "no burst that a delay of some could add to"
    assert len(times) >= 18, "the budget is used"


async def test_no_task_waits_longer_than_a_round_whichever_replica_sees_it(store, leases, tmp_path):
    upstream = ScriptedUpstream(seconds=60)
    seen = defaultdict(list)

    async def note(upstream, task):
        seen[task.id].append(time.monotonic())

    upstream.on_poll = note
    tasks = {"polls_per_second": 50, "poll_interval_seconds": 0.2}
    async with AsyncExitStack() as stack:
        rooms = [
            await stack.enter_async_context(opened(store, leases, tmp_path, upstream, **tasks))
            for _ in range(3)
        ]
        for at in range(100):
            await submitted(rooms[at % 3], upstream, f"film {at}")
        await asyncio.sleep(6.5)
    gaps = [later - earlier for times in seen.values() for earlier, later in pairwise(times)]
    assert len(seen) == 100
    assert max(gaps) <= 1.2 * 100 / 50 + 0.5, "a round, and a look at what is due"


async def test_a_full_account_does_not_hold_another_up(store, leases, tmp_path):
    upstream = ScriptedUpstream(seconds=60)
    other = Account(upstream="scripted", id="two")
    tasks = {"polls_per_second": 5}
    async with opened(store, leases, tmp_path, upstream, accounts=(ACCOUNT, other), **tasks) as engine:
        for at in range(60):
            await submitted(engine, upstream, f"film {at}")
        upstream.seconds = 0
        task = await submitted(engine, upstream, "quick", other)
        began = time.monotonic()
        await ended(engine, task)
        assert time.monotonic() - began < 1.5


async def test_every_task_of_a_full_account_gets_its_turn(store, leases, tmp_path):
    upstream = ScriptedUpstream()
    async with opened(store, leases, tmp_path, upstream, polls_per_second=50) as engine:
        began = time.monotonic()
        for at in range(150):
            await submitted(engine, upstream, f"film {at}")
        await until(lambda: len(upstream.polls) == 150)
        assert time.monotonic() - began < 1.2 * 150 / 50 + 1.5
        assert upstream.polls.total() <= 160


async def test_waiting_tasks_are_left_alone_until_their_turn(store, leases, tmp_path):
    """Where the budget is short, the next look is set for when there is room, not tried in between."""
    upstream = ScriptedUpstream(seconds=60)
    given_back = 0

    def count(method):
        nonlocal given_back
        given_back += method == "release"

    async with opened(store, leases, tmp_path, upstream, polls_per_second=20) as engine:
        for at in range(100):
            await submitted(engine, upstream, f"film {at}")
        await asyncio.sleep(5.0)
        before = upstream.polls.total()
        store.fail = count
        await asyncio.sleep(2.5)
        store.fail = lambda method: None
        assert given_back <= 1.3 * (upstream.polls.total() - before) + 5


async def test_failed_polls_are_no_failed_task(store, leases, tmp_path):
    upstream = ScriptedUpstream()
    faults = [UpstreamUnavailable("502"), RuntimeError("a plugin's fault"), AccountRejected("401")]

    async def stumble(upstream, task):
        if faults:
            raise faults.pop()

    upstream.on_poll = stumble
    async with opened(store, leases, tmp_path, upstream, poll_interval_seconds=0.01) as engine:
        await ended(engine, await submitted(engine, upstream))
        assert upstream.polls["provider-film"] == 4


async def test_a_task_waits_for_its_account_and_goes_on(store, leases, tmp_path):
    upstream = ScriptedUpstream(seconds=0.1)
    room = opened(store, leases, tmp_path, upstream, poll_interval_seconds=0.02)
    async with room as engine:
        task = await submitted(engine, upstream)
        account = room.known.pop((ACCOUNT.upstream, ACCOUNT.id))
        await asyncio.sleep(0.5)
        before = upstream.polls.total()
        assert await status(engine, task) == "processing"
        room.known[ACCOUNT.upstream, ACCOUNT.id] = account
        await ended(engine, task)
        assert upstream.polls.total() > before


async def test_a_provider_that_forgets_is_asked_again_before_it_is_believed(store, leases, tmp_path):
    upstream = ScriptedUpstream()
    async with opened(store, leases, tmp_path, upstream, poll_interval_seconds=0.01) as engine:

        async def forget(upstream, task):
            return TaskState("missing")

        upstream.on_poll = forget
        view = await ended(engine, await submitted(engine, upstream), "failed")
        assert view.error_code == "task_missing"
        assert upstream.polls["provider-film"] == 4


async def test_a_task_that_never_ends_expires(store, leases, tmp_path):
    upstream = ScriptedUpstream(seconds=60)
    async with opened(store, leases, tmp_path, upstream, max_age_hours=0.3 / 3600) as engine:
        view = await ended(engine, await submitted(engine, upstream), "failed")
        assert view.error_code == "expired"


async def test_old_age_is_no_reason_to_pass_a_finished_film_over(store, leases, tmp_path):
    upstream = ScriptedUpstream()
    async with opened(store, leases, tmp_path, upstream, max_age_hours=1e-9) as engine:
        assert (await ended(engine, await submitted(engine, upstream))).media == (FILM,)


async def test_a_task_whose_time_is_over_is_swept_with_its_files(store, leases, tmp_path, monkeypatch):
    monkeypatch.setattr("gateway.tasks.grip.HOLD_SECONDS", 0.5)
    monkeypatch.setattr("gateway.tasks.poller.HOLD_SECONDS", 0.5)
    upstream = ScriptedUpstream()
    upstream.media = (Media("video", data=b"film", media_type="video/mp4"),)
    async with opened(store, leases, tmp_path, upstream, ttl_hours=0.7 / 3600) as engine:
        task = await submitted(engine, upstream)
        view = await ended(engine, task)
        assert view.expires == pytest.approx(view.finished + 0.7)
        assert list((tmp_path / "media/media").iterdir())
        await until(lambda: _gone(store, task))
        assert not list((tmp_path / "media/media").iterdir())


async def _gone(store, task):
    return await store.get("tasks", task.id) is None


async def test_a_slow_poll_keeps_its_task_to_itself(store, leases, tmp_path, monkeypatch):
    monkeypatch.setattr("gateway.tasks.grip.HOLD_SECONDS", 0.3)
    monkeypatch.setattr("gateway.tasks.poller.HOLD_SECONDS", 0.3)
    upstream = ScriptedUpstream()
    at_once = most = 0

    async def dawdle(upstream, task):
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(1.0)
        at_once -= 1

    upstream.on_poll = dawdle
    async with opened(store, leases, tmp_path, upstream) as one, opened(store, leases, tmp_path, upstream):
        await ended(one, await submitted(one, upstream))
    assert most == 1
    assert upstream.polls["provider-film"] == 1


async def test_a_store_that_is_away_only_pauses(store, leases, tmp_path):
    upstream = ScriptedUpstream(seconds=0.1)
    async with opened(store, leases, tmp_path, upstream) as engine:
        task = await submitted(engine, upstream)
        store.fail = lambda method: "before"
        await asyncio.sleep(0.6)
        store.fail = lambda method: None
        await ended(engine, task)


async def test_a_writer_that_does_not_know_whether_it_wrote_finds_out(store, leases, tmp_path, monkeypatch):
    monkeypatch.setattr("gateway.tasks.grip.HOLD_SECONDS", 0.5)
    monkeypatch.setattr("gateway.tasks.poller.HOLD_SECONDS", 0.5)
    upstream = ScriptedUpstream()
    async with opened(store, leases, tmp_path, upstream) as engine:
        task = await submitted(engine, upstream)
        puts = iter(["after"] * 3)
        store.fail = lambda method: next(puts, None) if method == "put" else None
        view = await ended(engine, task)
        assert view.media == (FILM,)


async def test_a_submit_whose_process_died_is_found_at_the_provider(store, leases, tmp_path, monkeypatch):
    """The record says `submitting` and nobody keeps it: exactly what a killed process leaves."""
    upstream = ScriptedUpstream()
    await _leave_intent(store, leases, tmp_path, upstream, monkeypatch)
    await upstream.submit(None, await upstream.prepare(order("film").request, ACCOUNT, None), ACCOUNT)
    async with opened(store, leases, tmp_path, upstream) as engine:
        await ended(engine, order("film"))
    assert upstream.submits["film"] == 1


async def test_a_submit_without_a_trace_ends_ambiguous_after_its_time(store, leases, tmp_path, monkeypatch):
    upstream = ScriptedUpstream()
    await _leave_intent(store, leases, tmp_path, upstream, monkeypatch)
    monkeypatch.setattr("gateway.tasks.look._RECONCILE_SECONDS", 0.5)
    async with opened(store, leases, tmp_path, upstream, poll_interval_seconds=0.02) as engine:
        view = await ended(engine, order("film"), "failed")
        assert view.error_code == AmbiguousSubmit.code
        assert view.finished - view.created > 0.5
    assert not upstream.submits


async def test_no_clock_alone_gives_a_submit_up(store, leases, tmp_path, monkeypatch):
    upstream = ScriptedUpstream()
    looks = 0

    async def count(upstream, prepared):
        nonlocal looks
        looks += 1

    upstream.on_reconcile = count
    await _leave_intent(store, leases, tmp_path, upstream, monkeypatch)
    monkeypatch.setattr("gateway.tasks.look._RECONCILE_SECONDS", 0.0)
    async with opened(store, leases, tmp_path, upstream, poll_interval_seconds=0.02) as engine:
        await ended(engine, order("film"), "failed")
    assert looks == 3


async def _leave_intent(store, leases, tmp_path, upstream, monkeypatch):
    from gateway.config import TaskSettings
    from gateway.tasks.clock import SetClock
    from gateway.tasks.records import TaskRecords
    from gateway.tasks.waiters import Waiters
    from gateway.telemetry.metrics import Metrics

    async def announce(task):
        """Tell nobody."""

    monkeypatch.setattr("gateway.tasks.grip.HOLD_SECONDS", 0.2)
    records = TaskRecords(store, TaskSettings(), Metrics(), Waiters(), announce)
    prepared = await upstream.prepare(order("film").request, ACCOUNT, None)
    await intend(records, order("film"), prepared, SetClock(await store.now()))


async def test_a_clock_that_jumps_ends_no_task(store, leases, tmp_path, monkeypatch):
    upstream = ScriptedUpstream(seconds=0.5)
    async with opened(store, leases, tmp_path, upstream) as engine:
        task = await submitted(engine, upstream)
        ahead = time.time() + 100_000
        monkeypatch.setattr("time.time", lambda: ahead)
        await ended(engine, task)


async def test_a_new_process_goes_on_where_the_old_one_stopped(tmp_path):
    upstream = ScriptedUpstream(seconds=0.3)
    path = str(tmp_path / "gateway.db")
    for turn in range(2):
        store = await SqliteStore.open(path)
        async with opened(store, MemoryLeases(), tmp_path, upstream) as engine:
            task = await submitted(engine, upstream) if turn == 0 else order("film")
            if turn == 1:
                await ended(engine, task)
        await store.aclose()
    assert upstream.submits["film"] == 1


@pytest.mark.parametrize("deaf", [0, 2])
async def test_an_end_is_told_before_it_is_stored_and_until_it_is_heard(
    store, leases, tmp_path, monkeypatch, deaf
):
    monkeypatch.setattr("gateway.tasks.poller.HOLD_SECONDS", 0.2)
    upstream = ScriptedUpstream()
    room = opened(store, leases, tmp_path, upstream)
    room.deaf = deaf
    async with room as engine:
        task = await submitted(engine, upstream)
        await ended(engine, task)
    assert [(told.id, told.state) for told in room.ended] == [(task.id, State.COMPLETED)] * (deaf + 1)


async def test_the_end_of_another_processs_task_is_told_with_what_it_began(tmp_path):
    upstream = ScriptedUpstream(seconds=0.3)
    path = str(tmp_path / "gateway.db")
    begun = msgspec.structs.replace(order("film"), chat_id="chat", turn=Turn(before="earlier"))
    told = []
    for process in range(2):
        store = await SqliteStore.open(path)
        room = opened(store, MemoryLeases(), tmp_path, upstream)
        async with room as engine:
            if process == 0:
                task = await engine.submit(begun, upstream, AsyncExitStack())
            else:
                await ended(engine, task)
        told.append(room.ended)
        await store.aclose()
    assert [len(those) for those in told] == [0, 1]
    assert (told[1][0].chat_id, told[1][0].turn) == ("chat", Turn(before="earlier"))
