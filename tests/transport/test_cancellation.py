"""Cancelling anything, anywhere, leaves nothing behind."""

import asyncio
import random
from pathlib import Path

import pytest

from gateway.transport import Deadlines, TransportError
from tests.transport.counting import count_connections

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


async def fetch(transport, url, **options):
    async with await transport.send("POST", url, **options) as exchange:
        return await exchange.read()


async def cancel(task):
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def hang_before_the_head(server, reader, writer):
    await server.read_request(reader)
    await reader.read()


async def hang_in_the_body(server, reader, writer):
    await server.read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")
    await reader.read()


async def hang_in_the_upload(server, reader, writer):
    await reader.readexactly(100_000)
    reader._transport.pause_reading()
    await asyncio.sleep(0.1)
    reader._transport.resume_reading()
    while await reader.read(2**20):
        pass


@pytest.mark.parametrize("handler", [hang_before_the_head, hang_in_the_body, hang_in_the_upload])
async def test_a_cancelled_call_closes_its_socket_at_once(transport, start, handler):
    server = await start(handler)
    body = b"x" * 20_000_000 if handler is hang_in_the_upload else b""
    calls = [asyncio.create_task(fetch(transport, server.url, body=body)) for _ in range(3)]
    await asyncio.sleep(0.05)
    assert count_connections(transport)[0] == 3
    for call in calls:
        await cancel(call)
    await asyncio.sleep(0.01)
    assert count_connections(transport)[0] == 0
    await server.until_empty()


async def test_a_step_that_is_cancelled_ends_the_exchange(transport, start):
    server = await start(hang_in_the_body)
    exchange = await transport.send("GET", server.url)
    assert await anext(exchange) == b"hello"
    step = asyncio.create_task(anext(exchange))
    await asyncio.sleep(0.01)
    await cancel(step)
    await server.until_empty()
    with pytest.raises(TransportError):
        await anext(exchange)


async def test_the_callers_stream_is_closed_with_the_call(transport, start):
    server = await start(hang_before_the_head)
    begun, closed = asyncio.Event(), asyncio.Event()

    async def stuck():
        try:
            yield b"x"
            begun.set()
            await asyncio.sleep(60)
        finally:
            closed.set()

    call = asyncio.create_task(fetch(transport, server.url, body=stuck()))
    async with asyncio.timeout(5):
        await begun.wait()
        await cancel(call)
        await closed.wait()
    await server.until_empty()


async def storm(server, transport, url, count):
    """Call and cancel at random moments; return how many came through."""
    chance = random.Random(7)

    async def one():
        async with asyncio.timeout(chance.choice([0, 1e-4, 1e-3, 4e-3, 1e-2, 1])):
            await asyncio.sleep(chance.random() * 0.002)
            body = b"x" * chance.choice([0, 10, 100_000, 1_000_000])
            return await fetch(transport, url, body=body)

    outcomes = []
    for _ in range(count // 50):
        outcomes += await asyncio.gather(*(one() for _ in range(50)), return_exceptions=True)
    assert all(outcome == b"hello" or isinstance(outcome, TimeoutError) for outcome in outcomes)
    return outcomes.count(b"hello")


async def slow(server, reader, writer):
    """Answer in pieces, each after a moment of its own."""
    chance = random.Random(8)
    while True:
        await server.read_request(reader)
        server.requests.clear()
        for piece in (OK[:20], OK[20:40], OK[40:]):
            await asyncio.sleep(chance.choice([0, 0, 1e-3]))
            writer.write(piece)


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_after_a_storm_of_cancels_every_call_works_and_no_socket_is_left(make_transport, start):
    server = await start(slow)
    before = open_files()
    transport = make_transport(deadlines=Deadlines(connect=5, first_byte=20), idle_seconds=0.2)
    came_through = await storm(server, transport, server.url, 2000)
    assert 100 < came_through < 1900, "the storm must hit and miss"
    assert [await fetch(transport, server.url) for _ in range(100)] == [b"hello"] * 100
    await server.until_empty()
    assert count_connections(transport) == (0, 0)
    await transport.aclose()
    assert open_files() <= before


async def test_a_storm_over_tls(make_transport, start, certificate, client_context):
    server = await start(slow, ssl=certificate)
    transport = make_transport(idle_seconds=0.2, ssl_context=client_context)
    url = f"https://localhost:{server.port}/"
    assert 20 < await storm(server, transport, url, 400) < 400
    assert [await fetch(transport, url) for _ in range(20)] == [b"hello"] * 20
    await server.until_empty()
    assert count_connections(transport) == (0, 0)
    await transport.aclose()


async def test_every_single_await_can_be_cancelled(make_transport, start):
    """Step one call with a cancel after 0, 1, 2, … turns of the loop."""
    server = await start(slow)
    transport = make_transport()
    for turns in range(60):
        call = asyncio.create_task(fetch(transport, server.url, body=b"x" * 100_000))
        for _ in range(turns):
            await asyncio.sleep(0)
        call.cancel()
        outcome = (await asyncio.gather(call, return_exceptions=True))[0]
        assert outcome == b"hello" or isinstance(outcome, asyncio.CancelledError)
        await asyncio.sleep(0.002)
        connections, idle = count_connections(transport)
        assert connections == idle
    await transport.aclose()
    await server.until_empty()
