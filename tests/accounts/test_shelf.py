"""The order on a shelf, and that choosing costs the same with one account and with ten thousand."""

import sys

import pytest

from gateway.accounts.account import Account
from gateway.accounts.ledger import Ledger
from gateway.accounts.roster import Roster
from gateway.accounts.shelf import Gate, Seat, Shelf
from gateway.accounts.standing import FOREVER, Scope, Standing

pytestmark = pytest.mark.anyio

NOW = 1000.0


def put(shelf: Shelf, name: str, standing: Standing | None = None, cap: int | None = None) -> Seat:
    gate = Gate(Scope("qwen", name), standing or Standing(), cap)
    seat = Seat(Account(upstream="qwen", id=name), (gate,), shelf)
    gate.seats.append(seat)
    shelf.place(seat, NOW)
    return seat


def resting(until: float) -> Standing:
    return Standing(state="cooling", until=until, ramp=1)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf(("qwen", "t2t", ""))


def test_an_empty_shelf_offers_nobody(shelf):
    assert shelf.first(frozenset()) is None
    assert shelf.next_return() is None
    assert not shelf.offers(frozenset())


def test_seats_come_back_in_the_order_of_their_returns(shelf):
    late = put(shelf, "late", resting(NOW + 9))
    soon = put(shelf, "soon", resting(NOW + 5))
    never = put(shelf, "never", Standing(state="invalid", until=FOREVER))
    assert shelf.next_return() is soon
    shelf.wake(NOW + 5)
    assert shelf.first(frozenset()) is soon
    assert shelf.next_return() is late
    shelf.wake(NOW + 1e9)
    assert (shelf.available, list(shelf.stopped)) == (2, [never])
    assert shelf.next_return() is None


def test_a_longer_rest_replaces_the_shorter_one(shelf):
    seat = put(shelf, "a", resting(NOW + 5))
    seat.gates[0].judge(resting(NOW + 50))
    shelf.place(seat, NOW)
    shelf.wake(NOW + 5)
    assert shelf.available == 0
    assert shelf.next_return() is seat
    shelf.wake(NOW + 50)
    assert shelf.available == 1


def test_a_resting_seat_costs_nothing_however_busy_its_account_is(shelf):
    seat = put(shelf, "a", resting(NOW + 50))
    for _ in range(1000):
        shelf.place(seat, NOW)
    assert len(shelf._returns) == 1
    shelf.wake(NOW + 50)
    assert shelf.first(frozenset()) is seat


def test_the_excluded_are_skipped_over_all_loads(shelf):
    idle, busy = put(shelf, "idle"), put(shelf, "busy")
    busy.gates[0].in_flight = 7
    shelf.place(busy, NOW)
    assert shelf.first(frozenset()) is idle
    assert shelf.first(frozenset({idle.name})) is busy
    assert shelf.first(frozenset({idle.name, busy.name})) is None
    assert not shelf.offers(frozenset({idle.name, busy.name}))


def test_the_full_are_busy_not_gone(shelf):
    seat = put(shelf, "a", cap=1)
    seat.gates[0].in_flight = 1
    shelf.place(seat, NOW)
    assert shelf.first(frozenset()) is None
    assert shelf.offers(frozenset())
    assert not shelf.offers(frozenset({seat.name}))
    shelf.remove(seat)
    assert not shelf.offers(frozenset())


def test_the_ramp_does_not_count_calls_from_before_the_rest():
    gate = Gate(Scope("qwen", "a"), Standing(), cap=10)
    gate.in_flight = 4
    gate.judge(resting(NOW))
    assert gate.limit == 5
    gate.leave(NOW - 1)
    assert (gate.in_flight, gate.limit) == (3, 4)
    gate.in_flight += 1
    gate.leave(NOW + 1)
    assert (gate.in_flight, gate.limit) == (3, 4)
    gate.judge(Standing())
    assert gate.limit == 10


def lines_run(work) -> int:
    """Count the lines of Python that `work` runs: a clock would measure the machine's mood."""
    count = 0

    def trace(_frame, event, _argument):
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


async def test_a_loan_costs_the_same_with_10_000_accounts(store, clock):
    def cost(accounts: int, loans: int = 200) -> int:
        ledger = Ledger(store, clock=clock)
        roster = Roster([Account(upstream="q", id=f"a{number}") for number in range(accounts)], ledger)
        roster.shelf("q", "t2t", "")

        def lend() -> None:
            for _ in range(loans):
                seat = roster.choose(("q",), "t2t", "", frozenset(), clock())
                roster.take(seat, clock())
                roster.give_back(seat, clock(), clock())

        return lines_run(lend)

    assert cost(10_000) <= cost(1) * 1.1
