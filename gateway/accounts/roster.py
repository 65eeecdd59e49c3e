"""All accounts, and the shelves they are offered on."""

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence, Set
from typing import Final

from gateway.accounts.account import Account
from gateway.accounts.ledger import Ledger
from gateway.accounts.shelf import Gate, Name, Seat, Shelf, ShelfKey
from gateway.accounts.standing import Scope

__all__ = ["Entry", "Roster"]

_FINGERPRINT_LENGTH: Final = 12


class Entry:
    """An account in use: its own gate, and a seat on each shelf that offers it."""

    __slots__ = ("account", "gate", "seats")

    def __init__(self, account: Account, gate: Gate) -> None:
        self.account = account
        self.gate = gate
        self.seats: dict[ShelfKey, Seat] = {}

    def gates(self) -> Iterable[Gate]:
        """Return the gates of all seats, each once, the account as a whole first."""
        return dict.fromkeys([self.gate, *(gate for seat in self.seats.values() for gate in seat.gates)])


class Roster:
    """Keeps gates, seats and shelves in step with the configuration and the ledger."""

    def __init__(self, accounts: Sequence[Account], ledger: Ledger) -> None:
        self._ledger = ledger
        self._entries: dict[str, dict[str, Entry]] = {}
        self._gates: dict[Scope, Gate] = {}
        self._shelves: dict[ShelfKey, Shelf] = {}
        self._uses = itertools.count(1)
        for scope in ledger.scopes():
            self._open_model_shelf(scope)
        self.replace(accounts)

    def entries(self) -> Iterator[Entry]:
        """Yield every account."""
        return itertools.chain.from_iterable(entries.values() for entries in self._entries.values())

    def shelf(self, upstream: str, chat_type: str, model: str) -> Shelf:
        """Return the shelf to choose from; one is made where there was none."""
        shelves = self._shelves
        shelf = shelves.get((upstream, chat_type, model)) or shelves.get((upstream, chat_type, ""))
        return shelf or self._open_shelf((upstream, chat_type, ""))

    def seat(self, name: Name, chat_type: str, model: str) -> Seat | None:
        """Return an account's seat, None when there is no such account or it does not serve the chat type."""
        upstream, account = name
        entry = self._entries.get(upstream, {}).get(account)
        if entry is None:
            return None
        return entry.seats.get(self.shelf(upstream, chat_type, model).key)

    def choose(
        self, tiers: Sequence[Sequence[str]], chat_type: str, model: str, exclude: Set[Name], now: float
    ) -> Seat | None:
        """Return a free seat of the first tier that has one: the least in flight, ties in turn."""
        best: Seat | None = None
        for tier in tiers:
            for upstream in tier:
                shelf = self.shelf(upstream, chat_type, model)
                shelf.wake(now)
                seat = shelf.first(exclude)
                if seat is not None and (best is None or (seat.level, seat.used) < (best.level, best.used)):
                    best = seat
            if best is not None:
                return best
        return None

    def take(self, seat: Seat, now: float) -> None:
        """Count a call in."""
        for gate in seat.gates:
            gate.in_flight += 1
        seat.used = next(self._uses)
        self._place(seat.gates[0], now)

    def give_back(self, seat: Seat, begun: float, now: float) -> None:
        """Count a call out that began at `begun`."""
        for gate in seat.gates:
            gate.leave(begun)
        self._place(seat.gates[0], now)

    def refresh(self, scope: Scope) -> Gate | None:
        """Read a standing anew; return its gate when an account has one."""
        self._open_model_shelf(scope)
        gate = self._gates.get(scope._replace(credential=""))
        if gate is not None:
            gate.judge(self._ledger.standing(gate.scope))
            self._place(gate, self._ledger.clock())
        return gate

    def replace(self, accounts: Sequence[Account]) -> None:
        """Take a new list of accounts over. Calls under way keep the account that they began with."""
        wanted = {(account.upstream, account.id): account for account in accounts}
        for entry in tuple(self.entries()):
            name = (entry.account.upstream, entry.account.id)
            account = wanted.pop(name, None)
            if account is None:
                self._clear_seats(entry)
                del self._entries[entry.account.upstream][entry.account.id]
            elif account != entry.account:
                self._clear_seats(entry)
                self._offer(entry, account)
        for account in wanted.values():
            self._add(account)

    def _add(self, account: Account) -> None:
        entry = Entry(account, self._gate(Scope(account.upstream, account.id)))
        self._entries.setdefault(account.upstream, {})[account.id] = entry
        self._offer(entry, account)

    def _offer(self, entry: Entry, account: Account) -> None:
        """Give an account, new or changed, a seat on every shelf that it serves."""
        scope = _account_scope(account)
        entry.account = account
        entry.gate.assign(scope, self._ledger.standing(scope), account.concurrency)
        for key, shelf in self._shelves.items():
            if key[0] == account.upstream:
                self._seat(entry, shelf)

    def _clear_seats(self, entry: Entry) -> None:
        for seat in entry.seats.values():
            seat.shelf.remove(seat)
            for gate in seat.gates:
                gate.seats.remove(seat)
        entry.seats.clear()

    def _seat(self, entry: Entry, shelf: Shelf) -> None:
        """Offer an account on a shelf, if it serves the chat type."""
        upstream, chat_type, model = shelf.key
        account = entry.account
        if account.chat_types is not None and chat_type not in account.chat_types:
            return
        gates = [entry.gate, self._gate(Scope(upstream, account.id, chat_type))]
        if model:
            gates.append(self._gate(Scope(upstream, account.id, chat_type, model)))
        seat = entry.seats[shelf.key] = Seat(account, tuple(gates), shelf)
        for gate in gates:
            gate.seats.append(seat)
        shelf.place(seat, self._ledger.clock())

    def _gate(self, scope: Scope) -> Gate:
        gate = self._gates.get(scope)
        if gate is None:
            gate = self._gates[scope] = Gate(scope, self._ledger.standing(scope))
        return gate

    def _open_shelf(self, key: ShelfKey) -> Shelf:
        shelf = self._shelves[key] = Shelf(key)
        for entry in self._entries.get(key[0], {}).values():
            self._seat(entry, shelf)
        return shelf

    def _open_model_shelf(self, scope: Scope) -> None:
        """Give a model a shelf of its own, once an account is limited for it."""
        key = (scope.upstream, scope.chat_type, scope.model)
        if scope.model and key not in self._shelves:
            self._open_shelf(key)

    def _place(self, gate: Gate, now: float) -> None:
        for seat in gate.seats:
            seat.shelf.place(seat, now)


def _account_scope(account: Account) -> Scope:
    digest = hashlib.sha256(account.secret.reveal().encode()).hexdigest()
    return Scope(account.upstream, account.id, credential=digest[:_FINGERPRINT_LENGTH])
