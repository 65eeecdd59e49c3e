"""Who serves a request: the pool lends accounts, lets callers wait in turn, and learns from each call."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence, Set
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from gateway.accounts.account import Account
from gateway.accounts.ledger import Ledger
from gateway.accounts.places import Places
from gateway.accounts.refusals import all_tried, limited, no_account, too_busy, unusable
from gateway.accounts.roster import Roster
from gateway.accounts.shelf import Name, Seat, Shelf
from gateway.accounts.standing import FOREVER, Scope, State
from gateway.accounts.waiting import WaitingRoom
from gateway.generation.errors import AccountError, AccountRejected, GatewayError, VerificationRequired
from gateway.state.store import LeaseStore, Slot

__all__ = ["AccountLease", "AccountPool", "AccountStatus", "Wants"]

_Line = Shelf | Name
"""What callers wait for: any account of a shelf, or one account."""

_LOOK_SECONDS: Final = 0.25
"""How often waiting callers look for accounts whose rest is over."""
_FULL_ELSEWHERE_SECONDS: Final = 0.1
"""How long a place that other replicas have filled is counted here before it is tried again."""


class Wants(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a request needs of an account.

    `tiers` are upstream names in order of preference, equals together. `bound` names the only account that
    will do, as (upstream, account id). `exclude` holds those that were tried for this request. `chat` is
    the provider's chat, which takes one call at a time.
    """

    chat_type: str
    model: str = ""
    tiers: tuple[tuple[str, ...], ...]
    bound: Name | None = None
    exclude: frozenset[Name] = frozenset()
    chat: str = ""


class AccountStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One account in one respect, for status pages and metrics; no secret.

    `chat_type` is empty for the account as a whole. `until` (unix seconds) is None without a date.
    """

    upstream: str
    account: str
    chat_type: str
    model: str
    state: State
    reason: str
    until: float | None
    in_flight: int
    requests: int
    failures: int


class AccountLease(msgspec.Struct, eq=False):
    """A borrowed account. Settle it when the call has ended, however it did; a second time does nothing."""

    account: Account
    seat: Seat
    wants: Wants
    begun: float
    _pool: "AccountPool | None"
    _confirmed: bool = False
    places: Sequence[str] = ()

    def confirm(self) -> None:
        """Note that the provider has begun to answer, so that a long answer does not hold a probe up."""
        if not self.seat.settled and not self._confirmed and self._pool is not None:
            self._pool.teach(self, None)
            self._confirmed = True

    def settle(self, error: GatewayError | None) -> None:
        """Give the account back after a success (None) or a failure, which teaches the ledger."""
        if self._pool is not None and (error is not None or not self._confirmed):
            self._pool.teach(self, error)
        self.settle_cancelled()

    def settle_cancelled(self) -> None:
        """Give the account back; a client that left teaches nothing."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.take_back(self)


class AccountPool:
    """Lends accounts: affinity first, then by tier, then the least busy, ties in turn.

    Without limits of concurrency a loan is a matter of memory alone. Those limits, the probe after a rest
    and the one call per chat are counted over all replicas.
    """

    def __init__(self, accounts: Sequence[Account], ledger: Ledger, leases: LeaseStore) -> None:
        self._ledger = ledger
        self._roster = Roster(accounts, ledger)
        self._places = Places(leases)
        self._chats: set[Name] = set()
        self._room = WaitingRoom[_Line, Wants, AccountLease](self._take, AccountLease.settle_cancelled)
        self._look: asyncio.TimerHandle | None = None
        ledger.listen(self._hear)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the places alive that calls hold over all replicas."""
        async with self._places.running():
            yield

    async def acquire(self, wants: Wants, *, wait: float) -> AccountLease:
        """Borrow an account, waiting up to `wait` seconds while all that may serve are busy.

        Raises:
            AllAccountsLimited: every account rests; `retry_after` is the first return. Raised at once.
            NoUsableAccount: every account needs its operator. Raised at once.
            Overloaded: all stayed busy, the provider keeps failing, or every account was tried.
        """
        if self._room:
            self._serve(self._lines(wants))
        lease = self._take(wants)
        if lease is not None and not lease.seat.limited and not wants.chat:
            return lease
        return await self._acquire_patiently(wants, lease, asyncio.get_running_loop().time() + wait)

    def replace(self, accounts: Sequence[Account]) -> None:
        """Take a new list of accounts over: added, removed, changed. A new token has a clean standing."""
        self._roster.replace(accounts)
        for line in self._room.lines():
            self._room.dismiss(line)

    def status(self) -> Sequence[AccountStatus]:
        """Return what is known of every account, as a whole and for each chat type that was asked for."""
        return [
            self._describe(gate.scope, gate.in_flight)
            for entry in self._roster.entries()
            for gate in entry.gates()
        ]

    def available(self, upstream: str, chat_type: str) -> int:
        """Return how many accounts could serve now or when they have finished what they do."""
        shelf = self._roster.shelf(upstream, chat_type, "")
        shelf.wake(self._ledger.clock())
        return shelf.available

    def offers(self, upstream: str, chat_type: str, model: str, exclude: Set[Name]) -> bool:
        """Say whether an account outside `exclude` could serve now or when it has finished what it does."""
        shelf = self._roster.shelf(upstream, chat_type, model)
        shelf.wake(self._ledger.clock())
        return shelf.offers(exclude)

    def teach(self, lease: AccountLease, error: GatewayError | None) -> None:
        """Let the ledger learn how a lease's call ended."""
        for scope in lease.seat.proved if error is None else _blamed(lease, error):
            self._ledger.learn(scope, error, begun=lease.begun)

    def take_back(self, lease: AccountLease) -> None:
        """Make a lease's account, places and chat free again."""
        if lease.wants.chat:
            self._chats.discard(_chat(lease.seat, lease.wants))
        self._roster.give_back(lease.seat, lease.begun, self._ledger.clock())
        self._places.give_back(lease.places)
        if self._room:
            self._serve([lease.seat.name, *(seat.shelf for seat in lease.seat.gates[0].seats)])

    # ------------------------------------------------------------------ lending

    def _take(self, wants: Wants) -> AccountLease | None:
        now = self._ledger.clock()
        if wants.bound is None:
            seat = self._roster.choose(wants.tiers, wants.chat_type, wants.model, wants.exclude, now)
        else:
            seat = self._choose_bound(wants, wants.bound, now)
        if seat is None or (wants.chat and _chat(seat, wants) in self._chats):
            return None
        if wants.chat:
            self._chats.add(_chat(seat, wants))
        self._roster.take(seat, now)
        return AccountLease(seat.account, seat, wants, now, self)

    def _choose_bound(self, wants: Wants, name: Name, now: float) -> Seat | None:
        seat = self._roster.seat(name, wants.chat_type, wants.model)
        if seat is None or name in wants.exclude or seat.rests_until > now or not seat.has_room:
            return None
        return seat

    async def _acquire_patiently(
        self, wants: Wants, lease: AccountLease | None, deadline: float
    ) -> AccountLease:
        """Wait for an account that also has its places over all replicas."""
        exclude = wants.exclude
        while True:
            if lease is None:
                lease, exclude = await self._wait_in_turn(wants, deadline), wants.exclude
            if await self._hold_places(lease):
                return lease
            asyncio.get_running_loop().call_later(_FULL_ELSEWHERE_SECONDS, lease.settle_cancelled)
            exclude |= {lease.seat.name}
            lease = self._take(msgspec.structs.replace(wants, exclude=exclude))

    async def _wait_in_turn(self, wants: Wants, deadline: float) -> AccountLease:
        loop = asyncio.get_running_loop()
        while True:
            refusal = self._refusal(wants)
            if refusal is not None:
                raise refusal
            seconds = deadline - loop.time()
            if seconds <= 0:
                raise too_busy(wants.chat_type)
            self._keep_looking()
            lease = await self._room.wait(wants, self._lines(wants), seconds) or self._take(wants)
            if lease is not None:
                return lease

    async def _hold_places(self, lease: AccountLease) -> bool:
        try:
            places = await self._places.hold(_slots(lease))
        except BaseException:
            lease.settle_cancelled()
            raise
        lease.places = places or ()
        return places is not None

    # ------------------------------------------------------------------ refusing

    def _refusal(self, wants: Wants) -> GatewayError | None:
        """Return why nobody will serve this, None when waiting makes sense."""
        if wants.bound is not None:
            return self._bound_refusal(wants, wants.bound)
        now = self._ledger.clock()
        shelves = self._shelves(wants)
        if any(shelf.offers(wants.exclude) for shelf in shelves):
            return None
        returns = [seat for shelf in shelves if (seat := shelf.next_return()) is not None]
        if returns:
            first = min(returns, key=lambda seat: seat.rests_until)
            return limited(wants.chat_type, first, now, bound=False)
        if any(shelf.available for shelf in shelves):
            return all_tried(wants.chat_type)
        stopped = next((seat for shelf in shelves for seat in shelf.stopped), None)
        return no_account(wants.chat_type, bound=False) if stopped is None else unusable(stopped)

    def _bound_refusal(self, wants: Wants, name: Name) -> GatewayError | None:
        seat = self._roster.seat(name, wants.chat_type, wants.model)
        now = self._ledger.clock()
        if seat is None:
            return no_account(wants.chat_type, bound=True)
        if seat.rests_until == FOREVER:
            return unusable(seat)
        if seat.rests_until > now:
            return limited(wants.chat_type, seat, now, bound=True)
        return all_tried(wants.chat_type) if seat.name in wants.exclude else None

    # ------------------------------------------------------------------ waiting

    def _shelves(self, wants: Wants) -> list[Shelf]:
        return [
            self._roster.shelf(upstream, wants.chat_type, wants.model)
            for tier in wants.tiers
            for upstream in tier
        ]

    def _lines(self, wants: Wants) -> Sequence[_Line]:
        """Return the lines to stand in: the account's own, or those of the shelves."""
        return self._shelves(wants) if wants.bound is None else [wants.bound]

    def _serve(self, lines: Iterable[_Line]) -> None:
        """Give those in line what is free."""
        now = self._ledger.clock()
        for line in lines:
            if isinstance(line, Shelf):
                line.wake(now)
            while (not isinstance(line, Shelf) or line.free) and self._room.serve_one(line):
                pass

    def _hear(self, scope: Scope) -> None:
        """Act on a changed verdict."""
        gate = self._roster.refresh(scope)
        if gate is None or not self._room:
            return
        self._room.dismiss((scope.upstream, scope.account))
        for seat in gate.seats:
            if not seat.shelf.available:
                self._room.dismiss(seat.shelf)
        self._serve([seat.shelf for seat in gate.seats])

    def _keep_looking(self) -> None:
        """Look now and then for accounts whose rest is over, as long as anybody waits."""
        if self._look is None:
            self._look = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look_around)

    def _look_around(self) -> None:
        self._look = None
        self._serve(self._room.lines())
        if self._room:
            self._keep_looking()

    # ------------------------------------------------------------------ knowing

    def _describe(self, scope: Scope, in_flight: int) -> AccountStatus:
        standing = self._ledger.standing(scope)
        return AccountStatus(
            upstream=scope.upstream,
            account=scope.account,
            chat_type=scope.chat_type,
            model=scope.model,
            state=standing.state,
            reason=standing.reason,
            until=None if standing.until == FOREVER else standing.until,
            in_flight=in_flight,
            requests=standing.requests,
            failures=standing.failures,
        )


def _blamed(lease: AccountLease, error: GatewayError) -> Sequence[Scope]:
    """Return what a failure says something about."""
    account, chat_type, *_ = lease.seat.scopes
    if isinstance(error, AccountRejected | VerificationRequired):
        return (account,)
    if isinstance(error, AccountError) and error.param == "model" and lease.wants.model:
        return (chat_type._replace(model=lease.wants.model),)
    return (chat_type,)


def _chat(seat: Seat, wants: Wants) -> Name:
    return seat.name[0], wants.chat


def _slots(lease: AccountLease) -> list[Slot]:
    """Return the places that a loan needs over all replicas."""
    upstream, account = lease.seat.name
    slots = [Slot(f"probe/{gate.scope.key}", 1) for gate in lease.seat.limited if gate.standing.ramp == 1]
    if lease.account.concurrency is not None:
        slots.append(Slot(f"account/{upstream}/{account}", lease.account.concurrency))
    if lease.wants.chat:
        slots.append(Slot(f"chat/{upstream}/{lease.wants.chat}", 1))
    return slots
