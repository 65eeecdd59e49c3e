"""The accounts of one upstream for one kind of call, sorted so that choosing never searches.

A `Gate` counts the calls under way in one respect and knows its standing. A `Seat` is an account on a
shelf; it may be taken while all of its gates have room. Every operation is O(1), or O(log n) for a rest
that begins or ends.
"""

import heapq
import itertools
import math
from collections import OrderedDict, defaultdict
from collections.abc import Set
from typing import Final

from gateway.accounts.account import Account
from gateway.accounts.standing import FOREVER, Scope, Standing

__all__ = ["Gate", "Name", "Seat", "Shelf", "ShelfKey"]

Name = tuple[str, str]
"""An account's upstream and id."""
ShelfKey = tuple[str, str, str]
"""Upstream, chat type and model; no model where none has limits of its own."""

_NOT_FREE: Final = -1
_UNLIMITED: Final = math.inf


class Gate:
    """What one standing lets through at once, over all seats that share it.

    There is room while `in_flight` is below `limit`.
    """

    __slots__ = ("_cap", "_old", "in_flight", "limit", "scope", "seats", "standing")

    def __init__(self, scope: Scope, standing: Standing, cap: int | None = None) -> None:
        self.in_flight = 0
        self.seats: list[Seat] = []
        self.standing = standing
        self._old = 0
        self.assign(scope, standing, cap)

    def assign(self, scope: Scope, standing: Standing, cap: int | None) -> None:
        """Stand for another scope, with at most `cap` calls at once; calls under way still count."""
        self.scope = scope
        self._cap = _UNLIMITED if cap is None else cap
        self.judge(standing)

    def judge(self, standing: Standing) -> None:
        """Take a new standing over. The ramp after a rest does not count the calls from before it."""
        if standing.until != self.standing.until:
            self._old = self.in_flight if standing.until else 0
        self.standing = standing
        self._set_limit()
        for seat in self.seats:
            seat.sum_up()

    def leave(self, begun: float) -> None:
        """Count a call out that began at `begun`."""
        self.in_flight -= 1
        if self._old:
            self._old = min(self._old - (begun < self.standing.until), self.in_flight)
            self._set_limit()

    def _set_limit(self) -> None:
        ramp = self.standing.ramp
        self.limit = min(self._cap, self._old + ramp) if ramp else self._cap


class Seat:
    """An account on one shelf. The first gate is the account as a whole.

    `level` is its load while it is free, `wakes` its return while it rests, `used` grows with each use.
    What its gates' standings come to is summed up whenever one of them changes, so that a call need not ask:
    `rests_until` (unix seconds), `limited` (the gates that have a limit), `settled` (a success would change
    nothing) and `proved` (what a success says something about).
    """

    __slots__ = (
        "account",
        "gates",
        "level",
        "limited",
        "name",
        "proved",
        "rests_until",
        "scopes",
        "settled",
        "shelf",
        "used",
        "wakes",
    )

    def __init__(self, account: Account, gates: tuple[Gate, ...], shelf: "Shelf") -> None:
        self.account = account
        self.name: Name = (account.upstream, account.id)
        self.gates = gates
        self.scopes = tuple(gate.scope for gate in gates)
        self.shelf = shelf
        self.level = _NOT_FREE
        self.used = 0
        self.wakes = 0.0
        self.sum_up()

    def sum_up(self) -> None:
        """Take over what the gates' standings come to."""
        standings = [gate.standing for gate in self.gates]
        self.rests_until = max(standing.until for standing in standings)
        self.settled = all(standing.settled for standing in standings)
        self.limited = [gate for gate in self.gates if gate.limit < _UNLIMITED]
        self.proved = self.scopes[1:] if standings[0].settled else self.scopes

    @property
    def standing(self) -> Standing:
        """The one of its standings that rests for longest."""
        return max((gate.standing for gate in self.gates), key=lambda standing: standing.until)

    @property
    def has_room(self) -> bool:
        """Whether one more call may begin, apart from a rest."""
        return not self.limited or all(gate.in_flight < gate.limit for gate in self.limited)


class Shelf:
    """Seats by what can be done with them: free ones by load, busy ones, resting ones by their return."""

    def __init__(self, key: ShelfKey) -> None:
        self.key = key
        self.free = 0
        self.busy: set[Seat] = set()
        self.stopped: OrderedDict[Seat, None] = OrderedDict()
        self._levels: defaultdict[int, OrderedDict[Seat, None]] = defaultdict(OrderedDict)
        self._lowest = 0
        self._returns: list[tuple[float, int, Seat]] = []
        self._ticks = itertools.count()

    @property
    def available(self) -> int:
        """How many seats do not rest."""
        return self.free + len(self.busy)

    def offers(self, exclude: Set[Name]) -> bool:
        """Whether a seat outside `exclude` could serve now or later, without a rest before."""
        if not exclude:
            return self.available > 0
        return self.first(exclude) is not None or any(seat.name not in exclude for seat in self.busy)

    def place(self, seat: Seat, now: float) -> None:
        """Put a seat where it belongs now, behind its equals."""
        if seat.rests_until > now:
            self._lay_down(seat, seat.rests_until)
        elif seat.has_room:
            self._offer(seat, seat.gates[0].in_flight)
        else:
            self.remove(seat)
            self.busy.add(seat)

    def remove(self, seat: Seat) -> None:
        """Take a seat off the shelf, wherever it is."""
        if seat.level >= 0:
            del self._levels[seat.level][seat]
            seat.level = _NOT_FREE
            self.free -= 1
        else:
            self.busy.discard(seat)
            self.stopped.pop(seat, None)
            seat.wakes = 0.0

    def wake(self, now: float) -> None:
        """Bring back the seats whose rest is over."""
        returns = self._returns
        while returns and returns[0][0] <= now:
            at, _, seat = heapq.heappop(returns)
            if seat.wakes == at:
                self.place(seat, now)

    def first(self, exclude: Set[Name]) -> Seat | None:
        """Return the free seat with the least in flight that was used least recently."""
        if not self.free:
            return None
        levels = self._levels
        while not levels[self._lowest]:
            self._lowest += 1
        if not exclude:
            return next(iter(levels[self._lowest]))
        candidates = itertools.chain.from_iterable(levels[level] for level in sorted(levels))
        return next((seat for seat in candidates if seat.name not in exclude), None)

    def next_return(self) -> Seat | None:
        """Return the resting seat that comes back first, None when none will by itself."""
        returns = self._returns
        while returns and returns[0][2].wakes != returns[0][0]:
            heapq.heappop(returns)
        return returns[0][2] if returns else None

    def _offer(self, seat: Seat, level: int) -> None:
        if seat.level >= 0:
            del self._levels[seat.level][seat]
        else:
            self.remove(seat)
            self.free += 1
        self._levels[level][seat] = None
        seat.level = level
        if level < self._lowest:
            self._lowest = level

    def _lay_down(self, seat: Seat, until: float) -> None:
        if seat.wakes == until:
            return  # It rests already; its account may be busy with other things.
        self.remove(seat)
        if until == FOREVER:
            self.stopped[seat] = None
        else:
            seat.wakes = until
            heapq.heappush(self._returns, (until, next(self._ticks), seat))
