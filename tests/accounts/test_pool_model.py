"""The pool against a model of it: any order of calls, failures, reloads and clock jumps."""

import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.accounts.account import Account
from gateway.accounts.ledger import Ledger
from gateway.accounts.pool import AccountLease, AccountPool, Wants
from gateway.accounts.shelf import Name
from gateway.generation.errors import (
    AccountRejected,
    AllAccountsLimited,
    BurstLimited,
    GatewayError,
    GatewayUnavailable,
    InvalidRequest,
    QuotaExhausted,
    RateLimited,
    UpstreamUnavailable,
    VerificationRequired,
)
from gateway.state.memory_leases import MemoryLeases
from gateway.state.sqlite import SqliteStore
from gateway.state.store import Slot
from gateway.telemetry.redaction import Secret

T = TypeVar("T")
Respect = tuple[Name, str, str]
"""An account for a chat type and, where it has limits of its own, a model."""

UPSTREAMS = ("qwen", "cloud")
IDS = ("a", "b", "c")
CHAT_TYPES = ("t2t", "t2i")

names = st.tuples(st.sampled_from(UPSTREAMS), st.sampled_from(IDS))
chat_types = st.sampled_from(CHAT_TYPES)
tiers = st.sampled_from(
    [(("qwen",), ("cloud",)), (("qwen", "cloud"),), (("cloud",),), (("nowhere",), ("qwen",))]
)
shapes = st.fixed_dictionaries(
    {},
    optional={
        "concurrency": st.sampled_from([1, 2, 3]),
        "chat_types": st.sampled_from([("t2t",), ("t2t", "t2i")]),
        "secret": st.sampled_from([Secret("canary-1"), Secret("canary-2")]),
    },
)
rosters = st.dictionaries(names, shapes, max_size=5)
MINUTES = st.sampled_from([None, 60.0, 600.0, 7200.0, -1.0, math.nan])
errors = st.one_of(
    st.builds(RateLimited, st.just(""), retry_after=MINUTES, param=st.sampled_from([None, "model"])),
    st.builds(BurstLimited, st.just("")),
    st.builds(QuotaExhausted, st.just("")),
    st.builds(AccountRejected, st.just("")),
    st.builds(VerificationRequired, st.just("")),
    st.builds(UpstreamUnavailable, st.just("")),
    st.builds(InvalidRequest, st.just("")),
)


def name_of(account: Account) -> Name:
    return account.upstream, account.id


def respects(lease: AccountLease) -> set[Respect]:
    return {(name_of(lease.account), lease.wants.chat_type, model) for model in ("", lease.wants.model)}


class PoolMachine(RuleBasedStateMachine):
    """Knows who is configured, who is out, and since when an account must rest at least."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.now = 1_800_000_000.0
        self.accounts: dict[Name, Account] = {}
        self.out: list[AccountLease] = []
        self.rests: dict[Respect, float] = {}
        self.proved: set[Respect] = set()
        self.rejected: set[tuple[Name, Secret]] = set()
        self.troubled: set[Name] = set()

    @initialize(roster=rosters)
    def start(self, roster):
        self.store = self.runner.run(SqliteStore.open())
        self.leases = MemoryLeases()
        self.ledger = Ledger(self.store, clock=lambda: self.now, chance=lambda: 0.5)
        self.pool = AccountPool(self._adopt(roster), self.ledger, self.leases)

    def teardown(self):
        if hasattr(self, "pool"):
            while self.out:
                self._settle(self.out.pop().settle_cancelled)
            self._all_at_rest()
            self.runner.run(self.store.aclose())
        self.runner.close()

    @rule(roster=rosters)
    def reload(self, roster):
        self.pool.replace(self._adopt(roster))

    @rule(seconds=st.sampled_from([1.0, 5.0, 61.0, 700.0, 7300.0, 90_000.0, -30.0, -5000.0]))
    def let_time_pass(self, seconds):
        self.now += seconds

    @rule(
        chat_type=chat_types,
        tiers=tiers,
        model=st.sampled_from(["", "big"]),
        exclude=st.frozensets(names, max_size=2),
    )
    def borrow(self, chat_type, tiers, model, exclude):
        self._borrow(Wants(chat_type=chat_type, tiers=tiers, model=model, exclude=exclude))

    @rule(chat_type=chat_types, bound=names, chat=st.sampled_from(["", "x", "y"]))
    def borrow_bound(self, chat_type, bound, chat):
        self._borrow(Wants(chat_type=chat_type, tiers=(UPSTREAMS,), bound=bound, chat=chat))

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def succeed(self, data):
        lease = self._take_one(data)
        self._settle(lease.settle, None)
        self.proved |= {key for key in respects(lease) if lease.begun >= self.rests.get(key, 0.0)}

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def leave(self, data):
        self._settle(self._take_one(data).settle_cancelled)

    @precondition(lambda self: self.out)
    @rule(data=st.data(), error=errors)
    def fail(self, data, error):
        lease = self._take_one(data)
        self._settle(lease.settle, error)
        self._settle(lease.settle, AccountRejected("a second time changes nothing"))
        self._remember(lease, error)

    @invariant()
    def everything_is_counted(self):
        if not hasattr(self, "pool"):
            return
        for row in self.pool.status():
            if not row.chat_type:
                name = (row.upstream, row.account)
                known = [lease for lease in self.out if name_of(lease.account) == name]
                assert row.in_flight == len(known)

    def _adopt(self, roster) -> list[Account]:
        self.accounts = {
            name: Account(upstream=name[0], id=name[1], **fields) for name, fields in roster.items()
        }
        return list(self.accounts.values())

    def _settle(self, settle: Callable[..., None], *args: GatewayError | None) -> None:
        async def run() -> None:
            settle(*args)

        self._run(run())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run some work and what it leaves to the loop, so that no real time plays a part."""

        async def run() -> T:
            try:
                return await work
            finally:
                for _ in range(5):
                    await asyncio.sleep(0)

        return self.runner.run(run())

    def _take_one(self, data) -> AccountLease:
        return self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))

    def _remember(self, lease: AccountLease, error: GatewayError) -> None:
        name = name_of(lease.account)
        if not isinstance(error, InvalidRequest):
            self.troubled.add(name)
        if isinstance(error, AccountRejected):
            self.rejected.add((name, lease.account.secret))
        if isinstance(error, RateLimited):
            model = lease.wants.model if error.param == "model" else ""
            key = (name, lease.wants.chat_type, model)
            least = 60.0 if error.retry_after is None else min(max(error.retry_after, 60.0), 86_400.0)
            least = 60.0 if math.isnan(least) else least
            self.proved.discard(key)
            self.rests[key] = max(self.rests.get(key, 0.0), self.now + least)

    def _borrow(self, wants: Wants) -> None:
        try:
            lease = self._run(self.pool.acquire(wants, wait=0))
        except GatewayUnavailable as refusal:
            self._judge_refusal(wants, refusal)
            return
        self._judge_lease(wants, lease)
        self.out.append(lease)

    def _judge_lease(self, wants: Wants, lease: AccountLease) -> None:
        account = lease.account
        name = name_of(account)
        assert self.accounts.get(name) == account
        assert name not in wants.exclude
        assert name == wants.bound if wants.bound else any(name[0] in tier for tier in wants.tiers)
        assert account.chat_types is None or wants.chat_type in account.chat_types
        assert (name, account.secret) not in self.rejected
        siblings = [other for other in self.out if name_of(other.account) == name]
        assert not wants.chat or all(other.wants.chat != wants.chat for other in siblings)
        assert account.concurrency is None or len(siblings) < account.concurrency
        for key in respects(lease):
            self._judge_rest(key, siblings)

    def _judge_rest(self, key: Respect, siblings: list[AccountLease]) -> None:
        """The account has rested, and the first call after that is alone."""
        until = self.rests.get(key)
        if until is None:
            return
        assert until <= self.now
        probes = [other for other in siblings if key in respects(other) and other.begun >= until]
        assert key in self.proved or not probes

    def _judge_refusal(self, wants: Wants, refusal: GatewayError) -> None:
        """An account without any trouble and without calls cannot have been passed over."""
        busy = {name_of(lease.account) for lease in self.out}
        chats = {(lease.account.upstream, lease.wants.chat) for lease in self.out if lease.wants.chat}
        for name, account in self.accounts.items():
            wanted = name == wants.bound if wants.bound else any(name[0] in tier for tier in wants.tiers)
            serves = account.chat_types is None or wants.chat_type in account.chat_types
            blocked = name in self.troubled | busy | wants.exclude or (name[0], wants.chat) in chats
            assert not (wanted and serves) or blocked, f"{name} was free, yet: {refusal}"
        if isinstance(refusal, AllAccountsLimited):
            assert refusal.retry_after is not None
            assert 1 <= refusal.retry_after <= 86_400 + 5100
        assert "canary" not in refusal.message

    def _all_at_rest(self) -> None:
        assert [row for row in self.pool.status() if row.in_flight] == []
        for upstream in UPSTREAMS:
            for account in IDS:
                assert self.runner.run(self.leases.acquire([Slot(f"account/{upstream}/{account}", 1)], ttl=1))


PoolMachine.TestCase.settings = settings(max_examples=50, stateful_step_count=50, deadline=None)


@pytest.mark.usefixtures("no_real_time")
class TestPool(PoolMachine.TestCase):
    """Runs the machine."""


@pytest.fixture
def no_real_time(monkeypatch):
    monkeypatch.setattr("gateway.accounts.pool._FULL_ELSEWHERE_SECONDS", 0.0)
