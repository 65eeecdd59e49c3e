"""The ledger in memory, on disk and between replicas."""

import asyncio
import math
import time

import pytest

from gateway.accounts.ledger import Ledger
from gateway.accounts.records import LEDGER, decode_line, disable, enable
from gateway.accounts.standing import FOREVER, Scope, Standing
from gateway.generation.errors import AccountRejected, RateLimited, UpstreamUnavailable
from gateway.state.sqlite import SqliteStore
from gateway.state.store import Record, StoreUnavailable

pytestmark = pytest.mark.anyio

MAIN = Scope("qwen", "main", "t2t")
WHOLE = Scope("qwen", "main", credential="abc")


async def until(true, seconds: float = 2.0) -> float:
    """Wait for a condition; return how long it took."""
    started = time.monotonic()
    while not true():
        assert time.monotonic() - started < seconds, "it never came true"
        await asyncio.sleep(0.002)
    return time.monotonic() - started


def limit(ledger: Ledger, scope: Scope = MAIN, hours: float = 4) -> None:
    ledger.learn(scope, RateLimited("", retry_after=hours * 3600), begun=ledger.clock())


async def test_nothing_is_known_of_a_stranger(ledger):
    assert ledger.standing(MAIN) == Standing()
    assert ledger.scopes() == []


async def test_learning_waits_for_nothing_and_tells_of_verdicts_only(ledger):
    heard = []
    ledger.listen(heard.append)
    ledger.learn(MAIN, None, begun=ledger.clock())
    assert heard == []
    limit(ledger)
    assert heard == [MAIN]
    assert ledger.standing(MAIN).state == "cooling"
    assert ledger.standing(MAIN._replace(chat_type="t2i")).state == "ok"


async def test_what_was_learned_survives_a_restart(store, clock):
    first = Ledger(store, clock=clock)
    async with first.running():
        limit(first)
        first.learn(WHOLE, AccountRejected(""), begun=clock())
        first.learn(Scope("qwen", "other", "t2t"), None, begun=clock())
    second = Ledger(store, clock=clock)
    async with second.running():
        assert second.standing(MAIN) == first.standing(MAIN)
        assert second.standing(WHOLE).until == FOREVER
        assert second.standing(Scope("qwen", "other", "t2t")).requests == 1


async def test_another_replica_hears_within_100_ms(store, clock):
    one, other = Ledger(store, clock=clock), Ledger(store, clock=clock)
    async with one.running(), other.running():
        await asyncio.sleep(0.05)
        waits = []
        for number in range(5):
            scope = Scope("qwen", f"a{number}", "t2t")
            limit(one, scope)
            waits.append(await until(lambda scope=scope: other.standing(scope).state == "cooling"))
            assert other.standing(scope).until == one.standing(scope).until
        assert sorted(waits)[2] < 0.1


async def test_the_longer_rest_wins_between_replicas_and_counts_add_up(store, clock):
    one, other = Ledger(store, clock=clock), Ledger(store, clock=clock)
    async with one.running(), other.running():
        limit(one, hours=1)
        limit(other, hours=9)
        await until(lambda: one.standing(MAIN) == other.standing(MAIN))
        assert one.standing(MAIN).requests == 2
        assert one.standing(MAIN).until >= clock() + 9 * 3600


async def test_three_replicas_under_fire_end_alike_and_lose_no_count(store, clock):
    ledgers = [Ledger(store, clock=clock) for _ in range(3)]
    async with ledgers[0].running(), ledgers[1].running(), ledgers[2].running():
        for turn in range(30):
            for ledger in ledgers:
                ledger.learn(MAIN, UpstreamUnavailable("") if turn % 3 else None, begun=clock())
            await asyncio.sleep(0)
        for hours, ledger in enumerate(ledgers, start=2):
            limit(ledger, hours=hours)
        await until(lambda: all(ledger.standing(MAIN).requests == 93 for ledger in ledgers), seconds=10)
        assert len({ledger.standing(MAIN).until for ledger in ledgers}) == 1


async def test_a_recovery_reaches_the_other_replica(store, clock):
    one, other = Ledger(store, clock=clock), Ledger(store, clock=clock)
    async with one.running(), other.running():
        limit(one, hours=1)
        await until(lambda: other.standing(MAIN).state == "cooling")
        clock.advance(2 * 3600)
        one.learn(MAIN, None, begun=clock())
        await until(lambda: other.standing(MAIN).state == "ok")
        assert other.standing(MAIN).ramp == 2


async def test_news_overtake_counts(store, ledger):
    async with ledger.running():
        for number in range(500):
            ledger.learn(Scope("qwen", f"a{number}", "t2t"), None, begun=ledger.clock())
        limit(ledger)
        await until(lambda: not ledger._news)
        assert len(ledger._counts) == 500
    assert len(await store.scan(LEDGER)) == 501


async def test_an_operator_disables_and_enables(store, ledger):
    heard = []
    ledger.listen(heard.append)
    async with ledger.running():
        ledger.learn(WHOLE, AccountRejected(""), begun=ledger.clock())
        limit(ledger)
        await disable(store, "qwen", "main")
        await disable(store, "qwen", "main")
        await until(lambda: ledger.standing(WHOLE).state == "disabled")
        assert ledger.standing(Scope("qwen", "main")).state == "disabled"
        assert ledger.standing(Scope("qwen", "main2")).state == "ok"
        await until(lambda: Scope("qwen", "main") in heard)
        await until(lambda: not ledger._news)
        await asyncio.sleep(0.05)
        await enable(store, "qwen", "main")
        await until(lambda: ledger.standing(WHOLE).state == "ok")
        await until(lambda: ledger.standing(MAIN).until == 0.0)
        assert ledger.standing(MAIN).failures == 1


async def test_a_disabled_account_stays_disabled_over_a_restart(store, clock):
    await disable(store, "q/w", "m a")
    ledger = Ledger(store, clock=clock)
    async with ledger.running():
        assert ledger.standing(Scope("q/w", "m a", credential="x")).until == FOREVER


async def test_garbage_in_the_table_harms_nothing(store, ledger, clock):
    await store.put(LEDGER, Record(key="no scope", value=b"\xff"))
    await store.put(LEDGER, Record(key=MAIN.key, value=b"not msgpack"))
    async with ledger.running():
        assert ledger.standing(MAIN) == Standing()
        limit(ledger)
        await until(lambda: not ledger._news)
    record = await store.get(LEDGER, MAIN.key)
    assert decode_line(record) == (MAIN, ledger.standing(MAIN))


async def test_a_store_that_goes_away_is_caught_up_with(tmp_path, clock, monkeypatch):
    monkeypatch.setattr("gateway.accounts.ledger._RETRY_SECONDS", (0.02, 0.02))
    store = await SqliteStore.open(str(tmp_path / "state.db"))
    ledger = Ledger(store, clock=clock)
    async with ledger.running():
        put = store.put

        async def fail(*_args, **_kwargs):
            raise StoreUnavailable("the disk is full")

        monkeypatch.setattr(store, "put", fail)
        limit(ledger)
        await asyncio.sleep(0.05)
        assert await store.get(LEDGER, MAIN.key) is None
        assert ledger.standing(MAIN).state == "cooling"
        monkeypatch.setattr(store, "put", put)
        await until(lambda: not ledger._news)
        await asyncio.sleep(0.02)
        assert decode_line(await store.get(LEDGER, MAIN.key)) == (MAIN, ledger.standing(MAIN))
    await store.aclose()


async def test_one_late_answer_keeps_a_replica_in_the_dark_for_a_moment_only(store, ledger, monkeypatch):
    other = Ledger(store)
    get, late = store.get, 1

    async def late_once(*names):
        nonlocal late
        if late:
            late -= 1
            raise StoreUnavailable("it took too long")
        return await get(*names)

    async with ledger.running(), other.running():
        await asyncio.sleep(0.05)
        monkeypatch.setattr(store, "get", late_once)
        limit(ledger)
        await until(lambda: not late)
        async with asyncio.timeout(0.5):
            await until(lambda: other.standing(MAIN).state == "cooling")


async def test_an_expired_record_does_not_end_a_rest(store, ledger):
    async with ledger.running():
        limit(ledger)
        await until(lambda: not ledger._news)
        await asyncio.sleep(0.05)
        await store.delete(LEDGER, MAIN.key)
        await ledger._hear_line(MAIN.key)
        assert ledger.standing(MAIN).state == "cooling"
        limit(ledger, hours=8)
        await until(lambda: not ledger._news)
    assert math.isfinite(decode_line(await store.get(LEDGER, MAIN.key))[1].until)
