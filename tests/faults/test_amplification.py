"""A provider that fails is not asked more often for it."""

import asyncio
from collections import Counter
from contextlib import suppress

import httpx
import pytest

from tests.faults.fleet import Fleet, configure, fleet
from tests.faults.provider import Provider, provider

pytestmark = pytest.mark.anyio

MANY = [f"account-{number}" for number in range(40)]
"""Enough accounts that none rests after its few failures: what limits the calls is the budget alone."""
REQUESTS = 100
SHARE = 1.1
SLOW = pytest.mark.slow
FIRST_RETRY = 1
IMPATIENT = "[deadlines]\nfirst_event = 0.3\nfirst_media = 0.3\nbetween_events = 0.3"
QUESTION = {"model": "qwen-max-latest", "messages": [{"role": "user", "content": "hello"}]}
PICTURE = {"message": "a cat", "chatType": "t2i"}
FILM = {"message": "a cat", "chatType": "t2v", "waitForCompletion": False}


async def attempts(qwen: Provider) -> int:
    """Count the generations that were begun: each begins with its call, or with a chat that failed."""
    entries = await qwen.journal()
    refused = sum(entry.endpoint == "chats.new" and bool(entry.fault) for entry in entries)
    return refused + sum(entry.endpoint == "completions" for entry in entries)


async def storm(gateway: Fleet, path: str, body: object) -> Counter[int]:
    """Send the requests, some at a time, and count the answers by status."""
    lanes = asyncio.Semaphore(10)

    async def send() -> int:
        async with lanes:
            return (await gateway.client(0).post(path, json=body)).status_code

    return Counter(await asyncio.gather(*(send() for _ in range(REQUESTS))))


@pytest.mark.parametrize(
    ("kind", "endpoint"),
    [
        ("server_error", "completions"),
        pytest.param("stall", "completions", marks=SLOW),
        pytest.param("lost_answer", "chats.new", marks=SLOW),
        pytest.param("server_error", "chats.new", marks=SLOW),
        pytest.param("gateway_timeout", "completions", marks=SLOW),
        pytest.param("gateway_timeout", "chats.new", marks=SLOW),
        pytest.param("lost_answer", "completions", marks=SLOW),
    ],
)
async def test_a_failing_provider_gets_a_tenth_more_calls_at_most(tmp_path, capsys, kind, endpoint):
    async with (
        provider(tmp_path) as qwen,
        fleet(tmp_path, configure(qwen.url, MANY, tables=IMPATIENT)) as gateway,
    ):
        await qwen.strike(kind, endpoint=endpoint)
        answers = await storm(gateway, "/v1/chat/completions", QUESTION)
        made = await attempts(qwen)
    with capsys.disabled():
        print(f"\n{kind} at {endpoint}: {REQUESTS} requests, {made} calls, {dict(answers)}")
    assert set(answers) <= {502, 504}
    assert made <= SHARE * REQUESTS + FIRST_RETRY


@pytest.mark.parametrize(
    "kind",
    [
        "internal_error",
        pytest.param("error_frame", marks=SLOW),
        pytest.param("empty_body", marks=SLOW),
        pytest.param("created_only", marks=SLOW),
    ],
)
async def test_a_provider_that_answers_with_errors_gets_a_tenth_more_calls_at_most(tmp_path, capsys, kind):
    async with (
        provider(tmp_path) as qwen,
        fleet(tmp_path, configure(qwen.url, MANY, tables=IMPATIENT)) as gateway,
    ):
        await qwen.strike(kind, endpoint="completions")
        answers = await storm(gateway, "/v1/chat/completions", QUESTION)
        made = await attempts(qwen)
    with capsys.disabled():
        print(f"\n{kind}: {REQUESTS} requests, {made} calls, {dict(answers)}")
    assert set(answers) == {502}
    assert made <= SHARE * REQUESTS + FIRST_RETRY


@pytest.mark.parametrize(
    "kind",
    [
        "server_error",
        pytest.param("stall", marks=SLOW),
        pytest.param("cut", marks=SLOW),
    ],
)
async def test_pictures_are_not_ordered_more_often_either(tmp_path, capsys, kind):
    async with (
        provider(tmp_path) as qwen,
        fleet(tmp_path, configure(qwen.url, MANY, tables=IMPATIENT)) as gateway,
    ):
        await qwen.strike(kind, endpoint="completions")
        answers = await storm(gateway, "/api/chat", PICTURE)
        made = await attempts(qwen)
    with capsys.disabled():
        print(f"\n{kind} for pictures: {REQUESTS} requests, {made} calls, {dict(answers)}")
    assert made <= SHARE * REQUESTS + FIRST_RETRY


async def test_with_few_accounts_the_circuit_opens(tmp_path, capsys):
    async with provider(tmp_path) as qwen, fleet(tmp_path, configure(qwen.url, MANY[:3])) as gateway:
        await qwen.strike("server_error", endpoint="completions")
        answers = await storm(gateway, "/v1/chat/completions", QUESTION)
        made = await attempts(qwen)
    with capsys.disabled():
        print(f"\nthree accounts: {REQUESTS} requests, {made} calls, {dict(answers)}")
    assert answers[503] > REQUESTS / 2
    assert made < REQUESTS / 2


async def test_nothing_is_tried_again_once_an_event_went_out(tmp_path):
    async with provider(tmp_path) as qwen, fleet(tmp_path, configure(qwen.url, MANY)) as gateway:
        await qwen.strike("cut", endpoint="completions", after=1500)
        for _ in range(20):
            text = await read_stream(gateway.client(0))
            assert '"delta"' in text
            assert '"error"' in text
            assert "[DONE]" not in text
        assert await attempts(qwen) == 20


async def read_stream(client: httpx.AsyncClient) -> str:
    async with client.stream("POST", "/v1/chat/completions", json={**QUESTION, "stream": True}) as answer:
        text = ""
        with suppress(httpx.RemoteProtocolError):  # An answer that is not whole ends with its connection.
            async for piece in answer.aiter_text():
                text += piece
        return text


@pytest.mark.parametrize(
    "kind",
    [
        "lost_answer",
        "created_only",
        pytest.param("stall", marks=SLOW),
        pytest.param("gateway_timeout", marks=SLOW),
        pytest.param("cut", marks=SLOW),
    ],
)
async def test_a_film_whose_order_has_an_unknown_fate_is_ordered_once(tmp_path, kind):
    async with (
        provider(tmp_path) as qwen,
        fleet(tmp_path, configure(qwen.url, MANY[:5], tables=IMPATIENT)) as gateway,
    ):
        await qwen.strike(kind, endpoint="completions", chat_type="t2v")
        client = gateway.client(0)
        answers = await asyncio.gather(*(client.post("/api/chat", json=FILM) for _ in range(10)))
        ordered = await qwen.journal(endpoint="completions")
        assert len(ordered) <= 10
        assert len({entry.chat_id for entry in ordered}) == len(ordered), "a chat is an order"
        for answer in answers:
            assert answer.status_code in (502, 504)
            assert answer.headers["x-should-retry"] == "false"
