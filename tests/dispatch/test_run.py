"""Borrowing: however a call ends, its account is given back, and the ledger hears of it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from gateway.accounts.account import Account
from gateway.generation.errors import GatewayError, RateLimited, UpstreamUnavailable
from gateway.generation.events import AnyEvent, Finish, Media, TaskAccepted, TextDelta, Thread
from gateway.generation.requests import Delivery, GenerationRequest
from tests.dispatch.scripted import House, Upstream, ask, house

pytestmark = pytest.mark.anyio

ANSWERS = {
    "t2t": TextDelta("hello"),
    "t2i": Media("image", data=b"\x89PNG", media_type="image/png"),
}
ASKED = [ask(), ask(chat_type="t2i"), ask(chat_type="t2i", count=2)]
IDS = ["text", "picture", "pictures"]


def in_flight(open_house: House) -> int:
    return sum(line.in_flight for line in open_house.pool.status())


def failures(open_house: House) -> int:
    return sum(line.failures for line in open_house.pool.status())


@pytest.mark.parametrize("request_", ASKED, ids=IDS)
async def test_an_answer_gives_its_account_back(tmp_path, request_):
    upstream = Upstream((ANSWERS[request_.chat_type], Finish()))
    async with house(tmp_path, {"a": upstream}) as open_house:
        assert isinstance((await open_house.events(request_))[-1], Finish)
        assert (in_flight(open_house), failures(open_house)) == (0, 0)


async def test_an_answer_in_the_background_gives_its_account_back(tmp_path):
    async with house(tmp_path, {"a": Upstream()}) as open_house:
        accepted, *_ = await open_house.events(ask(delivery=Delivery(background=True)))
        assert isinstance(accepted, TaskAccepted)
        async with asyncio.timeout(5):
            while in_flight(open_house):
                await asyncio.sleep(0.001)


@pytest.mark.parametrize("request_", ASKED, ids=IDS)
async def test_a_failure_gives_its_account_back_and_is_learned(tmp_path, request_):
    upstream = Upstream((ANSWERS[request_.chat_type], UpstreamUnavailable("down", sent=True)))
    async with house(tmp_path, {"a": upstream}) as open_house:
        await open_house.failure(request_)
        assert (in_flight(open_house), failures(open_house)) == (0, len(upstream.calls))


@pytest.mark.parametrize("request_", ASKED, ids=IDS)
async def test_a_defect_gives_its_account_back_and_teaches_nothing(tmp_path, request_):
    upstream = Upstream((ANSWERS[request_.chat_type], ZeroDivisionError()))
    async with house(tmp_path, {"a": upstream}) as open_house:
        with pytest.raises(ZeroDivisionError):
            await open_house.events(request_)
        assert (in_flight(open_house), failures(open_house)) == (0, 0)


class Faulty(Upstream):
    """Raises where it is asked what it cannot honour, when the account is borrowed already."""

    def ignored(self, request: GenerationRequest) -> list[str]:
        raise ZeroDivisionError


@pytest.mark.parametrize("request_", ASKED, ids=IDS)
async def test_a_plugins_fault_before_the_call_gives_its_account_back(tmp_path, request_):
    async with house(tmp_path, {"a": Faulty()}) as open_house:
        with pytest.raises(ZeroDivisionError):
            await open_house.events(request_)
        assert (in_flight(open_house), failures(open_house)) == (0, 0)


class RefusesAtOnce(Upstream):
    """Raises where it is called, before there are events."""

    def stream(
        self, request: GenerationRequest, account: Account, thread: Thread | None
    ) -> AsyncGenerator[AnyEvent, None]:
        self.calls.append((account.id, request, thread))
        raise RateLimited("limited", retry_after=3600)


@pytest.mark.parametrize("request_", ASKED, ids=IDS)
async def test_a_refusal_at_the_call_gives_each_account_back(tmp_path, request_):
    upstream = RefusesAtOnce(accounts=["one", "two"])
    async with house(tmp_path, {"a": upstream}) as open_house:
        await open_house.failure(request_)
        assert {account for account, *_ in upstream.calls} == {"one", "two"}
        assert (in_flight(open_house), failures(open_house)) == (0, 2)


class FailsToClose(Upstream):
    """Fails while its events are closed."""

    async def stream(
        self, request: GenerationRequest, account: Account, thread: Thread | None
    ) -> AsyncGenerator[AnyEvent, None]:
        try:
            yield TextDelta("hello")
            yield Finish()
        finally:
            raise UpstreamUnavailable("cannot be closed")


async def test_a_failure_to_close_gives_its_account_back_too(tmp_path):
    async with house(tmp_path, {"a": FailsToClose()}) as open_house:
        generation = await open_house.open(ask())
        with pytest.raises(GatewayError, match="cannot be closed"):  # noqa: PT012
            async with aclosing(generation.events()) as events:
                await anext(events)
                assert in_flight(open_house) > 0
        assert (in_flight(open_house), failures(open_house)) == (0, 1)
