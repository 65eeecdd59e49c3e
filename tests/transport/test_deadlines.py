"""Every deadline fires, and none fires early."""

import asyncio
import time
from math import inf

import pytest

from gateway.transport import Deadlines, FirstByteTimeout, ReadTimeout, SilenceTimeout, TotalTimeout
from tests.transport.counting import count_connections

pytestmark = pytest.mark.anyio

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
NEVER = Deadlines(connect=inf, first_byte=inf, between_bytes=inf, total=inf)


async def fetch(transport, server, deadlines, **options):
    async with await transport.send("POST", server.url, deadlines=deadlines, **options) as exchange:
        return await exchange.read()


async def expect(kind, transport, server, deadlines, **options):
    """Fetch, and return how long it took to fail with exactly ``kind``."""
    started = time.monotonic()
    async with asyncio.timeout(5):
        with pytest.raises(ReadTimeout) as caught:
            await fetch(transport, server, deadlines, **options)
    took = time.monotonic() - started
    assert type(caught.value) is kind
    assert caught.value.sent
    await server.until_empty()
    assert count_connections(transport)[0] == 0
    return took


async def silent(server, reader, writer):
    await server.read_request(reader)
    await reader.read()


async def test_no_head(transport, start):
    server = await start(silent)
    took = await expect(FirstByteTimeout, transport, server, Deadlines(first_byte=0.2, between_bytes=0.03))
    assert 0.19 < took < 1


async def test_half_a_head_is_no_head(transport, answer):
    server = await answer([b"HTTP/1.1 200 OK\r\n"] + [b"X: y\r\n"] * 100, pause=0.02)
    await expect(FirstByteTimeout, transport, server, Deadlines(first_byte=0.2))


async def test_early_answers_are_no_head(transport, answer):
    server = await answer([b"HTTP/1.1 100 Continue\r\n\r\n"] * 100, pause=0.02)
    await expect(FirstByteTimeout, transport, server, Deadlines(first_byte=0.2))


async def test_silence_in_the_body(transport, answer):
    server = await answer([HEAD + b"x", b"x", b"x", b"x"], pause=0.1)
    took = await expect(SilenceTimeout, transport, server, Deadlines(first_byte=0.15, between_bytes=0.2))
    assert took > 0.45


async def test_bytes_that_are_no_body_are_silence(transport, answer):
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n5;"
    server = await answer([chunked] + [b"e"] * 200, pause=0.02)
    await expect(SilenceTimeout, transport, server, Deadlines(between_bytes=0.2))


async def test_a_slow_drip_meets_the_total(transport, answer):
    server = await answer([HEAD] + [b"x"] * 200, pause=0.02)
    took = await expect(TotalTimeout, transport, server, Deadlines(between_bytes=0.2, total=0.4))
    assert 0.39 < took < 1


async def test_the_total_alone_is_enough(transport, start):
    server = await start(silent)
    await expect(TotalTimeout, transport, server, Deadlines(first_byte=inf, between_bytes=inf, total=0.1))


async def test_the_total_ends_an_exchange_that_was_forgotten(own, answer):
    server = await answer(HEAD)
    exchange = await own.send("GET", server.url, deadlines=Deadlines(total=0.1))
    await server.until_empty()
    with pytest.raises(TotalTimeout):
        await exchange.read()


@pytest.mark.parametrize("size", [30_000_000, None], ids=["bytes", "stream"])
async def test_a_peer_that_takes_nothing_is_silent(transport, start, size):
    async def deaf(server, reader, writer):
        reader._transport.pause_reading()
        await asyncio.sleep(60)

    async def pieces():
        while True:
            yield b"x" * 65_536

    server = await start(deaf)
    body = pieces() if size is None else b"x" * size
    deadlines = Deadlines(first_byte=10, between_bytes=0.2)
    with pytest.raises(SilenceTimeout):
        await fetch(transport, server, deadlines, body=body)
    await asyncio.sleep(0.05)
    assert count_connections(transport)[0] == 0


async def test_an_upload_that_hangs_in_the_callers_hands_meets_the_total_only(transport, start):
    closed = asyncio.Event()

    async def stuck():
        try:
            yield b"x"
            await asyncio.sleep(60)
        finally:
            closed.set()

    server = await start(silent)
    deadlines = Deadlines(first_byte=0.05, between_bytes=0.05, total=0.3)
    assert await expect(TotalTimeout, transport, server, deadlines, body=stuck()) > 0.29
    await asyncio.wait_for(closed.wait(), 5)


async def test_the_first_byte_is_waited_for_from_the_end_of_the_upload(transport, start):
    async def slow():
        for _ in range(10):
            yield b"x"
            await asyncio.sleep(0.03)

    server = await start(silent)
    took = await expect(FirstByteTimeout, transport, server, Deadlines(first_byte=0.2), body=slow())
    assert took > 0.45


async def test_a_reader_that_takes_its_time_is_not_the_servers_silence(transport, answer):
    server = await answer([HEAD, b"x" * 10, b"y" * 990], pause=0.2)
    deadlines = Deadlines(first_byte=0.1, between_bytes=0.3)
    async with await transport.send("GET", server.url, deadlines=deadlines) as exchange:
        await asyncio.sleep(0.15)
        assert await anext(exchange) == b"x" * 10
        await asyncio.sleep(0.35)
        assert await anext(exchange) == b"y" * 990


async def test_each_exchange_of_a_connection_has_its_own_deadlines(transport, answer):
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    server = await answer([whole], [whole], [whole[:-1], b"", whole[-1:]], pause=0.15)
    short = Deadlines(first_byte=0.1, between_bytes=0.1, total=0.4)
    assert await fetch(transport, server, NEVER) == b"ok"
    await asyncio.sleep(0.2)
    assert await fetch(transport, server, short) == b"ok"
    await asyncio.sleep(0.2)
    assert server.accepted == 1
    assert await expect(SilenceTimeout, transport, server, short) < 0.35
    assert server.accepted == 1


async def test_short_deadlines_hold_after_long_ones(transport, answer):
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    server = await answer(whole, b"")
    assert await fetch(transport, server, Deadlines(first_byte=9, between_bytes=9, total=9)) == b"ok"
    assert await expect(FirstByteTimeout, transport, server, Deadlines(first_byte=0.1)) < 1
    assert server.accepted == 1


async def test_a_connection_that_is_idle_has_no_deadline(transport, answer):
    server = await answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    for _ in range(4):
        assert (
            await fetch(transport, server, Deadlines(first_byte=0.1, between_bytes=0.1, total=0.1)) == b"ok"
        )
        await asyncio.sleep(0.15)
    assert server.accepted == 1


async def test_without_deadlines_a_slow_answer_is_read(transport, answer):
    server = await answer([HEAD] + [b"x" * 100] * 10, pause=0.02)
    assert await fetch(transport, server, NEVER) == b"x" * 1000
