"""Lending: who is chosen, who waits, who is refused and what they are told."""

import asyncio
import random
import time

import pytest

from gateway.accounts.account import Account
from gateway.accounts.ledger import Ledger
from gateway.accounts.pool import AccountPool, Wants
from gateway.accounts.records import disable
from gateway.accounts.standing import Scope
from gateway.generation.errors import (
    AccountRejected,
    AllAccountsLimited,
    BurstLimited,
    ContentRefused,
    GatewayError,
    NoUsableAccount,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    UpstreamUnavailable,
    VerificationRequired,
)
from gateway.state.memory_leases import MemoryLeases
from gateway.state.store import Slot
from gateway.telemetry.redaction import Secret

pytestmark = pytest.mark.anyio

HOUR = 3600.0


def account(name: str, upstream: str = "qwen", **fields) -> Account:
    return Account(upstream=upstream, id=name, **fields)


def wants(chat_type: str = "t2t", *tiers: str | tuple[str, ...], **fields) -> Wants:
    named = tuple((tier,) if isinstance(tier, str) else tier for tier in tiers or ("qwen",))
    return Wants(chat_type=chat_type, tiers=named, **fields)


def in_flight(pool: AccountPool) -> dict[str, int]:
    return {row.account: row.in_flight for row in pool.status() if not row.chat_type}


def state(pool: AccountPool, name: str, chat_type: str = "t2t") -> str:
    return next(row.state for row in pool.status() if (row.account, row.chat_type) == (name, chat_type))


async def refused(pool: AccountPool, wish: Wants, wait: float = 0.0) -> GatewayError:
    """Return the refusal, which must come at once (the bound leaves room for a busy machine)."""
    started = time.monotonic()
    with pytest.raises(GatewayError) as caught:
        await pool.acquire(wish, wait=wait)
    assert time.monotonic() - started < 0.25
    return caught.value


async def gone(pool: AccountPool) -> None:
    """Wait until the pool has nobody for text any more."""
    for _ in range(1000):
        if not pool.available("qwen", "t2t"):
            return
        await asyncio.sleep(0.002)
    raise AssertionError("the account is still offered")


async def spend(pool: AccountPool, error: GatewayError | None, wish: Wants | None = None) -> str:
    """Make one call that ends with `error`; return who served it."""
    lease = await pool.acquire(wish or wants(), wait=0)
    lease.settle(error)
    return lease.account.id


# ---------------------------------------------------------------------- choosing


async def test_ties_go_in_turn(make_pool):
    pool = make_pool(account("a"), account("b"), account("c"))
    assert [await spend(pool, None) for _ in range(6)] == ["a", "b", "c", "a", "b", "c"]


async def test_the_least_busy_is_chosen(make_pool):
    pool = make_pool(account("a"), account("b"))
    leases = [await pool.acquire(wants(), wait=0) for _ in range(6)]
    assert in_flight(pool) == {"a": 3, "b": 3}
    for lease in leases:
        if lease.account.id == "b":
            lease.settle(None)
    assert [(await pool.acquire(wants(), wait=0)).account.id for _ in range(3)] == ["b"] * 3


async def test_load_of_one_chat_type_counts_for_another(make_pool):
    pool = make_pool(account("a"), account("b"))
    lease = await pool.acquire(wants("t2v"), wait=0)
    assert [await spend(pool, None, wants("t2t")) for _ in range(3)] == ["b"] * 3
    lease.settle(None)
    assert sorted([await spend(pool, None, wants("t2t")) for _ in range(2)]) == ["a", "b"]


async def test_tiers_in_order_and_equals_together(make_pool):
    pool = make_pool(account("a"), account("b", "cloud"), account("c", "local"))
    first = wants("t2t", ("qwen", "cloud"), "local")
    assert {await spend(pool, None, first) for _ in range(4)} == {"a", "b"}
    tried = frozenset({("qwen", "a"), ("cloud", "b")})
    assert await spend(pool, None, wants("t2t", ("qwen", "cloud"), "local", exclude=tried)) == "c"


async def test_a_full_tier_overflows_into_the_next(make_pool):
    pool = make_pool(account("a", concurrency=1), account("b", "cloud"))
    both = wants("t2t", "qwen", "cloud")
    assert (await pool.acquire(both, wait=0)).account.id == "a"
    assert (await pool.acquire(both, wait=0)).account.id == "b"


async def test_only_accounts_that_serve_the_chat_type(make_pool):
    pool = make_pool(account("a", chat_types=("t2t",)), account("b", chat_types=("t2i",)))
    assert {await spend(pool, None, wants("t2i")) for _ in range(4)} == {"b"}
    error = await refused(pool, wants("t2v"))
    assert isinstance(error, NoUsableAccount)
    assert "t2v" in error.message


async def test_a_bound_request_gets_its_account_and_no_other(make_pool):
    pool = make_pool(account("a"), account("b"))
    bound = wants(bound=("qwen", "b"))
    assert {await spend(pool, None, bound) for _ in range(4)} == {"b"}
    await spend(pool, RateLimited("", retry_after=HOUR), bound)
    error = await refused(pool, bound, wait=5)
    assert isinstance(error, AllAccountsLimited)
    assert error.retry_after == HOUR
    assert await spend(pool, None) == "a"


async def test_a_bound_request_for_a_removed_account(make_pool):
    error = await refused(make_pool(account("a")), wants(bound=("qwen", "gone")), wait=5)
    assert isinstance(error, NoUsableAccount)


# ---------------------------------------------------------------------- refusing


async def test_all_cooling_answers_at_once_with_the_first_return(make_pool, clock):
    pool = make_pool(account("a"), account("b"), account("c"))
    for hours in (4, 2, 3):
        await spend(pool, RateLimited("", retry_after=hours * HOUR))
    error = await refused(pool, wants(), wait=10)
    assert isinstance(error, AllAccountsLimited)
    assert error.retry_after == 2 * HOUR
    clock.advance(HOUR)
    assert (await refused(pool, wants())).retry_after == HOUR
    assert await spend(pool, None, wants("t2i")) in {"a", "b", "c"}


async def test_a_limited_account_among_invalid_ones_still_counts_as_coming_back(make_pool):
    pool = make_pool(account("a"), account("b"))
    await spend(pool, AccountRejected(""))
    await spend(pool, QuotaExhausted(""))
    error = await refused(pool, wants(), wait=10)
    assert isinstance(error, AllAccountsLimited)
    assert error.retry_after == 6 * HOUR


async def test_a_rejected_token_ends_every_chat_type_at_once(make_pool):
    pool = make_pool(account("a", secret=Secret("tok-canary")))
    await spend(pool, None, wants("t2i"))
    await spend(pool, AccountRejected(""))
    error = await refused(pool, wants("t2i"), wait=10)
    assert isinstance(error, NoUsableAccount)
    assert error.client_may_retry is False
    assert "tok-canary" not in f"{error} {pool.status()}"


async def test_a_human_check_is_named_and_never_looped(make_pool, clock):
    pool = make_pool(account("a"))
    calls, said = 0, set()
    for _ in range(200):
        try:
            await spend(pool, VerificationRequired(""))
            calls += 1
        except (Overloaded, NoUsableAccount) as error:
            said.add((error.code, "human" in error.message))
            clock.advance(600)
    assert calls == 6
    assert said == {("upstream_verification_required", True)}


async def test_a_success_clears_an_account_of_a_human_check(make_pool, clock):
    pool = make_pool(account("a"))
    await spend(pool, VerificationRequired(""))
    assert state(pool, "a", "") == "needs_attention"
    clock.advance(600)
    for _ in range(6):
        await spend(pool, None)
    assert state(pool, "a", "") == "ok"
    together = [await pool.acquire(wants(), wait=0) for _ in range(64)]
    assert in_flight(pool) == {"a": len(together)}


async def test_a_daily_limit_is_said_in_the_providers_words(make_pool):
    pool = make_pool(account("a"))
    await spend(pool, RateLimited(""))
    error = await refused(pool, wants(), wait=0)
    assert isinstance(error, AllAccountsLimited)
    assert error.message == "You've reached the upper limit for today's usage."


async def test_disabled_everywhere(make_pool, ledger, store):
    pool = make_pool(account("a"))
    async with ledger.running():
        await spend(pool, None)
        await disable(store, "qwen", "a")
        await gone(pool)
        error = await refused(pool, wants(), wait=10)
    assert isinstance(error, NoUsableAccount)
    assert "disabled" in error.message


async def test_a_failing_provider_is_not_called_a_limit(make_pool):
    pool = make_pool(account("a"))
    for _ in range(5):
        await spend(pool, UpstreamUnavailable(""))
    error = await refused(pool, wants(), wait=10)
    assert isinstance(error, Overloaded)
    assert error.retry_after == 5


async def test_everyone_was_tried(make_pool):
    pool = make_pool(account("a"))
    tried = frozenset({("qwen", "a")})
    assert isinstance(await refused(pool, wants(exclude=tried), wait=10), Overloaded)
    assert isinstance(await refused(pool, wants(exclude=tried, bound=("qwen", "a")), wait=10), Overloaded)


async def test_no_account_at_all(make_pool):
    assert isinstance(await refused(make_pool(), wants(), wait=10), NoUsableAccount)


# ---------------------------------------------------------------------- limits by model


async def test_a_limit_of_one_model_leaves_the_others_usable(make_pool, clock):
    pool = make_pool(account("a"))
    small, large = wants(model="small"), wants(model="large")
    await spend(pool, RateLimited("", retry_after=HOUR, param="model"), large)
    assert await spend(pool, None, small) == "a"
    assert isinstance(await refused(pool, large), AllAccountsLimited)
    await spend(pool, RateLimited("", retry_after=60), small)
    assert (await refused(pool, large)).retry_after == HOUR
    assert (await refused(pool, small)).retry_after == 60
    clock.advance(HOUR)
    assert await spend(pool, None, large) == "a"


async def test_a_model_limit_survives_a_restart(store, ledger, leases, clock):
    async with ledger.running():
        pool = AccountPool([account("a")], ledger, leases)
        await spend(pool, RateLimited("", retry_after=HOUR, param="model"), wants(model="large"))
    again = Ledger(store, clock=clock)
    async with again.running():
        pool = AccountPool([account("a")], again, leases)
        assert isinstance(await refused(pool, wants(model="large")), AllAccountsLimited)
        assert await spend(pool, None, wants(model="small")) == "a"


# ---------------------------------------------------------------------- after a rest


async def test_one_probe_then_a_ramp(make_pool, clock):
    pool = make_pool(account("a"))
    await spend(pool, RateLimited("", retry_after=HOUR))
    clock.advance(HOUR)
    for width in (1, 2, 4, 8, 16, 32):
        leases = [await pool.acquire(wants(), wait=0) for _ in range(width)]
        assert isinstance(await refused(pool, wants()), Overloaded)
        leases[0].settle(None)
        for lease in leases[1:]:
            lease.settle_cancelled()
    for _ in range(100):
        await pool.acquire(wants(), wait=0)


async def test_calls_from_before_the_rest_do_not_stop_the_probe(make_pool, clock):
    pool = make_pool(account("a"))
    old = [await pool.acquire(wants(), wait=0) for _ in range(5)]
    old.pop().settle(BurstLimited(""))
    clock.advance(2)
    probe = await pool.acquire(wants(), wait=0)
    assert isinstance(await refused(pool, wants()), Overloaded)
    for lease in old:
        lease.settle(None)
    assert isinstance(await refused(pool, wants()), Overloaded)
    probe.settle(None)
    assert [await spend(pool, None) for _ in range(3)] == ["a"] * 3
    assert in_flight(pool) == {"a": 0}


async def test_a_probe_that_has_begun_to_answer_lets_others_through(make_pool, clock):
    pool = make_pool(account("a"))
    await spend(pool, RateLimited("", retry_after=60))
    clock.advance(60)
    probe = await pool.acquire(wants(), wait=0)
    waiter = asyncio.create_task(pool.acquire(wants(), wait=5))
    await asyncio.sleep(0)
    probe.confirm()
    probe.confirm()
    (await asyncio.wait_for(waiter, 0.1)).settle(None)
    probe.settle(None)
    probe.confirm()
    rows = {row.chat_type: row for row in pool.status()}
    assert (rows["t2t"].requests, rows["t2t"].failures, rows["t2t"].in_flight) == (3, 1, 0)


async def test_an_answer_that_breaks_off_is_still_a_fault(make_pool, clock):
    pool = make_pool(account("a"))
    await spend(pool, RateLimited("", retry_after=60))
    clock.advance(60)
    probe = await pool.acquire(wants(), wait=0)
    probe.confirm()
    probe.settle(AccountRejected(""))
    assert isinstance(await refused(pool, wants()), NoUsableAccount)


async def test_a_cancelled_probe_lets_the_next_one_through(make_pool, clock):
    pool = make_pool(account("a"))
    await spend(pool, RateLimited("", retry_after=60))
    clock.advance(60)
    for outcome in ("cancelled", ContentRefused(""), "cancelled"):
        lease = await pool.acquire(wants(), wait=0)
        assert isinstance(await refused(pool, wants()), Overloaded)
        if isinstance(outcome, GatewayError):
            lease.settle(outcome)
        else:
            lease.settle_cancelled()
    await spend(pool, None)
    assert state(pool, "a") == "ok"


async def test_a_client_that_left_teaches_nothing(make_pool):
    pool = make_pool(account("a"))
    lease = await pool.acquire(wants(), wait=0)
    lease.settle_cancelled()
    lease.settle(AccountRejected(""))
    lease.settle_cancelled()
    assert in_flight(pool) == {"a": 0}
    assert [row.requests for row in pool.status()] == [0, 0]


# ---------------------------------------------------------------------- waiting


async def test_waiters_are_served_in_the_order_they_came(make_pool):
    pool = make_pool(account("a", concurrency=2))
    order = []

    async def call(number: int) -> None:
        lease = await pool.acquire(wants(), wait=5)
        order.append(number)
        await asyncio.sleep(0.002)
        lease.settle(None)

    await asyncio.gather(*(call(number) for number in range(12)))
    assert order == list(range(12))
    assert in_flight(pool) == {"a": 0}


async def test_nobody_overtakes_a_waiter(make_pool):
    pool = make_pool(account("a", concurrency=1))
    first = await pool.acquire(wants(), wait=0)
    waiter = asyncio.create_task(pool.acquire(wants(), wait=5))
    await asyncio.sleep(0.01)
    first.settle(None)
    with pytest.raises(Overloaded):
        await pool.acquire(wants(), wait=0)
    (await waiter).settle(None)


async def test_a_full_pool_gives_up_when_the_time_is_over(make_pool):
    pool = make_pool(account("a", concurrency=1))
    await pool.acquire(wants(), wait=0)
    started = time.monotonic()
    with pytest.raises(Overloaded) as caught:
        await pool.acquire(wants(), wait=0.05)
    assert 0.04 < time.monotonic() - started < 0.5
    assert caught.value.retry_after


async def test_a_waiter_is_woken_when_another_account_comes_back(make_pool, clock):
    pool = make_pool(account("a", concurrency=1), account("b"))
    busy = await pool.acquire(wants(bound=("qwen", "a")), wait=0)
    await spend(pool, BurstLimited("", retry_after=60))
    waiter = asyncio.create_task(pool.acquire(wants(), wait=5))
    await asyncio.sleep(0.3)
    clock.advance(60)
    assert (await asyncio.wait_for(waiter, 2)).account.id == "b"
    busy.settle(None)


async def test_nobody_overtakes_a_waiter_when_an_account_comes_back(make_pool, clock):
    pool = make_pool(account("a", concurrency=1), account("b"))
    await pool.acquire(wants(bound=("qwen", "a")), wait=0)
    await spend(pool, BurstLimited("", retry_after=60))
    waiter = asyncio.create_task(pool.acquire(wants(), wait=5))
    await asyncio.sleep(0.01)
    clock.advance(60)
    with pytest.raises(Overloaded):
        await pool.acquire(wants(), wait=0)
    assert (await asyncio.wait_for(waiter, 0.1)).account.id == "b"


async def test_waiters_hear_at_once_that_waiting_is_in_vain(make_pool):
    pool = make_pool(account("a", concurrency=1))
    lease = await pool.acquire(wants(), wait=0)
    waiters = [
        asyncio.create_task(pool.acquire(wish, wait=5)) for wish in (wants(), wants(bound=("qwen", "a")))
    ]
    await asyncio.sleep(0.01)
    lease.settle(RateLimited("", retry_after=HOUR))
    for waiter in waiters:
        with pytest.raises(AllAccountsLimited):
            await asyncio.wait_for(waiter, 0.05)


async def test_a_waiter_may_leave(make_pool):
    pool = make_pool(account("a", concurrency=1))
    first = await pool.acquire(wants(), wait=0)
    leaver = asyncio.create_task(pool.acquire(wants(), wait=5))
    stayer = asyncio.create_task(pool.acquire(wants(), wait=5))
    await asyncio.sleep(0.01)
    first.settle(None)
    leaver.cancel()
    (await asyncio.wait_for(stayer, 1)).settle(None)
    assert in_flight(pool) == {"a": 0}


async def test_one_call_at_a_time_in_a_chat(make_pool):
    pool = make_pool(account("a"))
    same, other = (wants(bound=("qwen", "a"), chat=chat) for chat in ("one", "two"))
    first = await pool.acquire(same, wait=0)
    second = asyncio.create_task(pool.acquire(same, wait=5))
    (await pool.acquire(other, wait=0)).settle(None)
    await asyncio.sleep(0.01)
    assert not second.done()
    first.settle(None)
    (await asyncio.wait_for(second, 1)).settle(None)
    assert in_flight(pool) == {"a": 0}


async def test_an_account_that_is_added_serves_those_who_wait(make_pool):
    pool = make_pool(account("a", concurrency=1))
    await pool.acquire(wants(), wait=0)
    waiter = asyncio.create_task(pool.acquire(wants(), wait=5))
    bound = asyncio.create_task(pool.acquire(wants(bound=("qwen", "a")), wait=5))
    await asyncio.sleep(0.01)
    pool.replace([account("b")])
    assert (await asyncio.wait_for(waiter, 0.1)).account.id == "b"
    with pytest.raises(NoUsableAccount):
        await asyncio.wait_for(bound, 0.1)


# ---------------------------------------------------------------------- several replicas


async def test_a_cap_counts_over_replicas(store, clock, leases):
    pools = [AccountPool([account("a", concurrency=3)], Ledger(store, clock=clock), leases) for _ in range(2)]
    taken = [await pools[turn % 2].acquire(wants(), wait=0) for turn in range(3)]
    for pool in pools:
        with pytest.raises(Overloaded):
            await pool.acquire(wants(), wait=0)
    waiter = asyncio.create_task(pools[1].acquire(wants(), wait=5))
    await asyncio.sleep(0.02)
    taken[0].settle(None)
    (await asyncio.wait_for(waiter, 2)).settle(None)


async def test_one_call_at_a_time_in_a_chat_over_all_replicas(store, clock, leases):
    one, other = (AccountPool([account("a")], Ledger(store, clock=clock), leases) for _ in range(2))
    wish = wants(bound=("qwen", "a"), chat="x")
    first = await one.acquire(wish, wait=0)
    with pytest.raises(Overloaded):
        await other.acquire(wish, wait=0)
    first.settle(None)
    (await other.acquire(wish, wait=2)).settle(None)


async def test_a_full_account_elsewhere_is_passed_over(store, clock, leases):
    accounts = [account("a", concurrency=1), account("b", concurrency=1)]
    one, other = (AccountPool(accounts, Ledger(store, clock=clock), leases) for _ in range(2))
    assert (await one.acquire(wants(), wait=0)).account.id == "a"
    assert (await other.acquire(wants(), wait=0)).account.id == "b"


async def test_an_account_that_is_full_elsewhere_is_asked_for_once(store, clock):
    class CountingLeases(MemoryLeases):
        asked = 0

        async def acquire(self, slots, *, ttl):
            self.asked += 1
            return await super().acquire(slots, ttl=ttl)

    leases = CountingLeases()
    one, other = (
        AccountPool([account("a", concurrency=5)], Ledger(store, clock=clock), leases) for _ in range(2)
    )
    for _ in range(5):
        await one.acquire(wants(), wait=0)
    with pytest.raises(Overloaded):
        await other.acquire(wants(), wait=0)
    assert leases.asked == 6


async def test_one_probe_over_all_replicas(store, clock, leases):
    ledgers = [Ledger(store, clock=clock) for _ in range(2)]
    async with ledgers[0].running(), ledgers[1].running():
        pools = [AccountPool([account("a")], ledger, leases) for ledger in ledgers]
        await spend(pools[0], RateLimited("", retry_after=60))
        await gone(pools[1])
        clock.advance(70)
        probe = await pools[0].acquire(wants(), wait=0)
        with pytest.raises(Overloaded):
            await pools[1].acquire(wants(), wait=0)
        probe.settle(None)
        second = await pools[1].acquire(wants(), wait=2)
        second.settle(None)


async def test_another_replicas_cooldown_is_seen(store, clock, leases):
    ledgers = [Ledger(store, clock=clock) for _ in range(2)]
    async with ledgers[0].running(), ledgers[1].running():
        one, other = (AccountPool([account("a")], ledger, leases) for ledger in ledgers)
        await spend(other, None)
        await asyncio.sleep(0.05)
        await spend(one, RateLimited("", retry_after=HOUR))
        await gone(other)
        assert (await refused(other, wants())).retry_after >= HOUR


# ---------------------------------------------------------------------- reloading


async def test_a_new_token_starts_clean_but_keeps_the_days_limits(make_pool):
    pool = make_pool(account("a", secret=Secret("old")))
    late = await pool.acquire(wants(), wait=0)
    await spend(pool, RateLimited("", retry_after=HOUR), wants("t2i"))
    await spend(pool, AccountRejected(""))
    pool.replace([account("a", secret=Secret("new"))])
    lease = await pool.acquire(wants(), wait=0)
    assert lease.account.secret.reveal() == "new"
    late.settle(AccountRejected(""))
    assert await spend(pool, None) == "a"
    assert isinstance(await refused(pool, wants("t2i")), AllAccountsLimited)
    lease.settle(None)
    assert in_flight(pool) == {"a": 0}


async def test_an_invalid_token_is_still_invalid_after_a_restart_but_its_successor_is_not(
    store, clock, leases
):
    first = Ledger(store, clock=clock)
    async with first.running():
        await spend(AccountPool([account("a", secret=Secret("old"))], first, leases), AccountRejected(""))
    second = Ledger(store, clock=clock)
    async with second.running():
        pool = AccountPool([account("a", secret=Secret("old"))], second, leases)
        assert isinstance(await refused(pool, wants()), NoUsableAccount)
        pool = AccountPool([account("a", secret=Secret("new"))], second, leases)
        assert await spend(pool, None) == "a"


async def test_removed_accounts_end_their_calls_in_peace(make_pool):
    pool = make_pool(account("a"), account("b"))
    lease = await pool.acquire(wants(bound=("qwen", "a")), wait=0)
    pool.replace([account("b")])
    assert {await spend(pool, None) for _ in range(3)} == {"b"}
    lease.settle(RateLimited("", retry_after=HOUR))
    assert [row.account for row in pool.status() if not row.chat_type] == ["b"]
    assert pool.available("qwen", "t2t") == 1


async def test_a_removed_account_does_not_return_from_its_rest(make_pool, clock):
    pool = make_pool(account("a"))
    await spend(pool, RateLimited("", retry_after=60))
    pool.replace([])
    clock.advance(60)
    assert isinstance(await refused(pool, wants()), NoUsableAccount)


async def test_an_account_that_comes_and_goes_keeps_its_count(make_pool):
    pool = make_pool(account("a"))
    lease = await pool.acquire(wants(), wait=0)
    pool.replace([])
    pool.replace([account("a", concurrency=1)])
    assert isinstance(await refused(pool, wants()), Overloaded)
    lease.settle(None)
    assert await spend(pool, None) == "a"


async def test_a_changed_cap_holds_for_calls_under_way_too(make_pool):
    pool = make_pool(account("a", concurrency=4))
    leases = [await pool.acquire(wants(), wait=0) for _ in range(3)]
    pool.replace([account("a", concurrency=2)])
    assert isinstance(await refused(pool, wants()), Overloaded)
    leases.pop().settle(None)
    assert isinstance(await refused(pool, wants()), Overloaded)
    leases.pop().settle(None)
    await asyncio.sleep(0.01)
    assert await spend(pool, None) == "a"


# ---------------------------------------------------------------------- telling


async def test_status_tells_states_without_secrets(make_pool, clock):
    pool = make_pool(account("a", secret=Secret("tok-canary")), account("b"))
    await spend(pool, RateLimited("", retry_after=HOUR), wants("t2i", bound=("qwen", "a")))
    await spend(pool, None, wants("t2t", bound=("qwen", "b")))
    rows = {(row.account, row.chat_type): row for row in pool.status()}
    assert set(rows) == {(name, kind) for name in "ab" for kind in ("", "t2i", "t2t")}
    assert rows["a", "t2i"].state == "cooling"
    assert rows["a", "t2i"].until == clock() + HOUR
    assert rows["b", "t2t"].requests == 1
    assert "tok-canary" not in repr(rows)
    assert pool.available("qwen", "t2i") == 1
    assert pool.available("qwen", "t2t") == 2


@pytest.mark.parametrize("cap", [None, 3])
async def test_counters_return_to_zero_after_10_000_requests_of_chaos(make_pool, clock, leases, cap):
    chance = random.Random(7)
    pool = make_pool(*(account(f"a{number}", concurrency=cap) for number in range(8)))
    outcomes = [None] * 12 + [
        RateLimited("", retry_after=60),
        BurstLimited(""),
        UpstreamUnavailable(""),
        ContentRefused(""),
    ]
    busiest = 0

    async def call() -> None:
        nonlocal busiest
        wish = wants(chance.choice(["t2t", "t2i"]), exclude=frozenset({("qwen", f"a{chance.randrange(8)}")}))
        if chance.random() < 0.1:
            wish = wants(bound=("qwen", f"a{chance.randrange(8)}"), chat=str(chance.randrange(4)))
        try:
            lease = await pool.acquire(wish, wait=chance.choice([0.0, 0.01, 0.5]))
        except GatewayError:
            clock.advance(1)
            return
        busiest = max(busiest, in_flight(pool)[lease.account.id])
        error: GatewayError | None = None
        cancelled = True
        try:
            await asyncio.sleep(chance.choice([0, 0, 0.001]))
            error, cancelled = chance.choice(outcomes), False
        finally:
            if cancelled:
                lease.settle_cancelled()
            else:
                lease.settle(error)

    async with pool.running():
        for _ in range(100):
            tasks = [asyncio.create_task(call()) for _ in range(100)]
            await asyncio.sleep(0)
            for task in chance.sample(tasks, 20):
                task.get_loop().call_later(chance.random() * 0.004, task.cancel)
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            unexpected = [
                end for end in ended if end is not None and not isinstance(end, asyncio.CancelledError)
            ]
            assert unexpected == []
        await asyncio.sleep(0.3)
    assert all(row.in_flight == 0 for row in pool.status())
    assert not pool._room
    assert not pool._chats
    assert cap is None or busiest <= cap
    for number in range(8):
        assert await leases.acquire([Slot(f"account/qwen/a{number}", 1)], ttl=1)
        assert await leases.acquire([Slot(f"probe/{Scope('qwen', f'a{number}', 't2t').key}", 1)], ttl=1)
