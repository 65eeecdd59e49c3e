"""The contract of every store: the same tests over memory, SQLite and Valkey."""

import asyncio
import time
from contextlib import aclosing

import msgspec
import pytest

from gateway.state.store import Conflict, Record, StateStore
from tests.state.watching import listening, next_key

pytestmark = pytest.mark.anyio


def record(key: str = "a", value: bytes = b"1", **fields) -> Record:
    return Record(key=key, value=value, **fields)


def changed(old: Record, **fields) -> Record:
    return msgspec.structs.replace(old, **fields)


async def keys(store: StateStore, owner: str = "o", **page) -> list[str]:
    return [found.key for found in await store.list("t", owner, **page)]


async def test_a_record_is_read_back_as_it_was_written(store):
    written = record(value=bytes(range(256)), owner="ö", order=1.25, due=2e9 + 0.125, expires=3e9)

    assert await store.put("t", written) == changed(written, version=1)
    assert await store.get("t", "a") == changed(written, version=1)


async def test_what_was_never_written_is_not_there(store):
    assert await store.get("t", "a") is None
    assert await store.delete("t", "a") is False
    assert await store.scan("t") == []


async def test_tables_are_apart(store):
    await store.put("t", record())

    assert await store.get("u", "a") is None
    assert await store.delete("u", "a") is False
    assert await store.scan("u") == []


@pytest.mark.parametrize("durable", [False, True])
async def test_each_write_takes_the_next_version(store, durable):
    first = await store.put("t", record(), durable=durable)
    second = await store.put("t", changed(first, value=b"2"), durable=durable)

    assert (first.version, second.version) == (1, 2)
    assert await store.get("t", "a") == second


@pytest.mark.parametrize("version", [0, 2, 7])
async def test_a_write_from_another_version_is_a_conflict_and_changes_nothing(store, version):
    standing = await store.put("t", record())

    with pytest.raises(Conflict):
        await store.put("t", record(value=b"2", version=version))
    assert await store.get("t", "a") == standing


async def test_an_update_of_nothing_is_a_conflict(store):
    with pytest.raises(Conflict):
        await store.put("t", record(version=1))
    assert await store.get("t", "a") is None


async def test_of_fifty_writers_one_wins(store, clients):
    standing = await store.put("t", record())
    writes = [
        clients[n % len(clients)].put("t", changed(standing, value=b"%d" % n), durable=n % 2 == 0)
        for n in range(50)
    ]
    answers = await asyncio.gather(*writes, return_exceptions=True)

    (winner,) = (answer for answer in answers if isinstance(answer, Record))
    assert sum(isinstance(answer, Conflict) for answer in answers) == 49
    assert await store.get("t", "a") == winner


async def test_a_deleted_record_is_gone_and_can_be_made_again(store):
    await store.put("t", record(owner="o", due=1.0))

    assert await store.delete("t", "a") is True
    assert await store.delete("t", "a") is False
    assert await store.get("t", "a") is None
    assert await keys(store) == []
    assert await store.claim_due("t", limit=9, lease_seconds=60) == []
    assert (await store.put("t", record(value=b"2"))).version == 1


async def test_an_expired_record_is_gone_everywhere_and_can_be_made_again(store):
    soon = await store.now() + 0.02
    await store.put("t", record(owner="o", due=1.0, expires=soon))
    assert (await store.get("t", "a")).expires == soon
    await asyncio.sleep(0.04)

    assert await store.get("t", "a") is None
    assert await store.scan("t") == []
    assert await keys(store) == []
    assert await store.claim_due("t", limit=9, lease_seconds=60) == []
    assert await store.delete("t", "a") is False
    with pytest.raises(Conflict):
        await store.put("t", record(version=1))
    assert (await store.put("t", record(value=b"2", owner="o"))).version == 1
    assert await keys(store) == ["a"]


async def test_a_record_that_is_made_again_is_held_by_nobody(store):
    await store.put("t", record(due=1.0, expires=await store.now() + 0.02))
    (claim,) = await store.claim_due("t", limit=1, lease_seconds=60)
    await asyncio.sleep(0.04)
    await store.put("t", record(due=1.0))

    with pytest.raises(Conflict):
        await store.put("t", record(version=1), fence=claim.fence)
    assert len(await store.claim_due("t", limit=1, lease_seconds=60)) == 1


async def test_a_list_is_one_owners_by_order_then_key(store):
    for key, owner, order in [("b", "o", 2), ("a", "o", 2), ("z", "o", 1), ("y", "o", 3), ("m", "p", 2)]:
        await store.put("t", record(key, owner=owner, order=float(order)))

    assert await keys(store) == ["y", "b", "a", "z"]
    assert await keys(store, newest_first=False) == ["z", "a", "b", "y"]
    assert await keys(store, limit=2) == ["y", "b"]
    assert await keys(store, "p") == ["m"]
    assert await keys(store, "nobody") == []


async def test_rows_without_an_owner_are_not_listed(store):
    await store.put("t", record())

    assert await keys(store, "") == []


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_pages_join_without_a_gap_or_a_double(store, newest_first, limit):
    for n in range(11):
        await store.put("t", record(f"k{n:02}", owner="o", order=float(n // 3)))
    seen: list[str] = []
    while page := await keys(store, after=seen[-1] if seen else None, limit=limit, newest_first=newest_first):
        seen += page

    assert seen == sorted((f"k{n:02}" for n in range(11)), reverse=newest_first)


async def test_nothing_lies_behind_a_record_that_is_not_the_owners(store):
    await store.put("t", record("a", owner="o", order=1.0))
    await store.put("t", record("b", owner="p", order=2.0))

    assert await keys(store, after="b") == []
    assert await keys(store, after="never") == []


async def test_a_record_moves_with_its_owner_and_order(store):
    first = await store.put("t", record(owner="o", order=1.0))
    await store.put("t", record("b", owner="o", order=2.0))
    second = await store.put("t", changed(first, order=3.0))
    assert await keys(store) == ["a", "b"]

    await store.put("t", changed(second, owner="p"))
    assert await keys(store) == ["b"]
    assert await keys(store, "p") == ["a"]


async def test_a_scan_returns_the_whole_table(store):
    written = [await store.put("t", record(f"k{n:04}", b"%d" % n)) for n in range(300)]

    assert sorted(await store.scan("t"), key=lambda found: found.key) == written


async def test_what_is_due_is_claimed_once_the_most_overdue_first(store):
    now = await store.now()
    for key, due in [("late", now - 5), ("later", now - 50), ("never", 0.0), ("early", now + 3600)]:
        await store.put("t", record(key, due=due))
    claims = await store.claim_due("t", limit=9, lease_seconds=60)

    assert [claim.record.key for claim in claims] == ["later", "late"]
    assert claims[0].record == await store.get("t", "later")
    assert claims[0].until == pytest.approx(now + 60, abs=5)
    assert await store.claim_due("t", limit=9, lease_seconds=60) == []


async def test_a_claim_takes_no_more_than_its_limit(store):
    for n in range(5):
        await store.put("t", record(f"k{n}", due=float(n + 1)))

    assert [c.record.key for c in await store.claim_due("t", limit=2, lease_seconds=60)] == ["k0", "k1"]
    assert [c.record.key for c in await store.claim_due("t", limit=9, lease_seconds=60)] == ["k2", "k3", "k4"]


async def test_many_claimants_share_without_a_double(store, clients):
    for n in range(120):
        await store.put("t", record(f"k{n}", due=1.0))
    grabs = [clients[n % len(clients)].claim_due("t", limit=7, lease_seconds=60) for n in range(30)]
    batches = await asyncio.gather(*grabs)

    taken = [claim.record.key for batch in batches for claim in batch]
    assert len(taken) == 120
    assert len(set(taken)) == 120


async def test_a_claim_that_ran_out_is_taken_by_another_and_its_fence_is_stale(store):
    await store.put("t", record(due=1.0))
    (first,) = await store.claim_due("t", limit=1, lease_seconds=0.01)
    await asyncio.sleep(0.03)
    (second,) = await store.claim_due("t", limit=1, lease_seconds=60)

    assert second.fence > first.fence
    with pytest.raises(Conflict):
        await store.put("t", changed(first.record, value=b"late"), fence=first.fence)
    assert (await store.put("t", changed(second.record, value=b"ok"), fence=second.fence)).version == 2


async def test_a_claim_that_ran_out_still_writes_while_nobody_took_it(store):
    await store.put("t", record(due=1.0))
    (claim,) = await store.claim_due("t", limit=1, lease_seconds=0.01)
    await asyncio.sleep(0.03)

    assert (await store.put("t", changed(claim.record, value=b"2"), fence=claim.fence)).version == 2


async def test_a_write_keeps_the_claim(store):
    await store.put("t", record(due=1.0))
    (claim,) = await store.claim_due("t", limit=1, lease_seconds=60)
    second = await store.put("t", changed(claim.record, value=b"2"), fence=claim.fence)
    third = await store.put("t", changed(second, value=b"3"))

    assert await store.claim_due("t", limit=1, lease_seconds=60) == []
    assert (await store.put("t", changed(third, value=b"4"), fence=claim.fence)).version == 4


async def test_a_fence_does_not_excuse_an_old_version(store):
    await store.put("t", record(due=1.0))
    (claim,) = await store.claim_due("t", limit=1, lease_seconds=60)
    await store.put("t", changed(claim.record, value=b"2"))

    with pytest.raises(Conflict):
        await store.put("t", changed(claim.record, value=b"3"), fence=claim.fence)


@pytest.mark.parametrize("fence", [0, 1, -1])
async def test_a_fence_that_was_never_given_is_stale(store, fence):
    standing = await store.put("t", record(due=1.0))

    with pytest.raises(Conflict):
        await store.put("t", changed(standing, value=b"2"), fence=fence)
    with pytest.raises(Conflict):
        await store.put("t", record("new"), fence=fence)


async def test_what_is_released_is_due_when_it_says(store):
    for key in ("again", "later", "never"):
        await store.put("t", record(key, due=1.0))
    now = await store.now()
    dues = {"again": now - 1, "later": now + 3600, "never": 0.0}
    for claim in await store.claim_due("t", limit=9, lease_seconds=60):
        await store.release("t", claim.record.key, claim.fence, due=dues[claim.record.key])

    assert [c.record.key for c in await store.claim_due("t", limit=9, lease_seconds=60)] == ["again"]
    assert {found.key: found.due for found in await store.scan("t")} == dues


async def test_a_release_is_a_write(store):
    await store.put("t", record(due=1.0))
    (claim,) = await store.claim_due("t", limit=1, lease_seconds=60)
    await store.release("t", "a", claim.fence, due=0.0)

    assert await store.get("t", "a") == changed(claim.record, version=2, due=0.0)
    with pytest.raises(Conflict):
        await store.put("t", changed(claim.record, value=b"2"))
    with pytest.raises(Conflict):
        await store.put("t", changed(claim.record, version=2), fence=claim.fence)


async def test_a_stale_release_does_nothing(store):
    await store.put("t", record(due=1.0))
    (first,) = await store.claim_due("t", limit=1, lease_seconds=0.01)
    await asyncio.sleep(0.03)
    (second,) = await store.claim_due("t", limit=1, lease_seconds=60)
    await store.release("t", "a", first.fence, due=1.0)
    await store.release("t", "missing", first.fence, due=1.0)

    assert await store.get("t", "a") == second.record
    assert await store.claim_due("t", limit=1, lease_seconds=60) == []


async def test_a_holder_may_move_the_due_time_while_it_holds(store):
    await store.put("t", record(due=1.0))
    (claim,) = await store.claim_due("t", limit=1, lease_seconds=0.03)
    await store.put("t", changed(claim.record, due=2.0), fence=claim.fence)
    assert await store.claim_due("t", limit=1, lease_seconds=60) == []
    await asyncio.sleep(0.05)

    (again,) = await store.claim_due("t", limit=1, lease_seconds=60)
    assert (again.record.due, again.record.version) == (2.0, 2)


async def test_a_watch_hints_at_once_and_then_at_each_change(store, clients):
    async with aclosing(clients[-1].watch("t")) as hints:
        await listening(hints, store)
        standing = await store.put("t", record("made"))
        assert await next_key(hints) == "made"
        await store.put("u", record("elsewhere"))
        await store.put("t", changed(standing, value=b"2"), durable=True)
        assert await next_key(hints) == "made"
        await store.delete("t", "made")
        assert await next_key(hints) == "made"


async def test_every_watcher_is_told(store):
    async with aclosing(store.watch("t")) as one, aclosing(store.watch("t")) as two:
        await listening(one, store)
        await listening(two, store)
        await store.put("t", record())
        assert [await next_key(one), await next_key(two)] == ["a", "a"]


async def test_the_clock_is_the_worlds(store):
    assert await store.now() == pytest.approx(time.time(), abs=5)


async def test_a_working_store_keeps_durable_writes(store):
    await store.check_durable()


async def test_a_cancelled_caller_disturbs_nobody(store):
    for round_ in range(20):
        calls = [asyncio.ensure_future(store.put("t", record(f"{round_}-{n}"))) for n in range(10)]
        await asyncio.sleep(0.0005 * (round_ % 4))
        for call in calls[::2]:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert (await store.get("t", f"{round_}-1")).key == f"{round_}-1"
        assert await store.get("t", "missing") is None
