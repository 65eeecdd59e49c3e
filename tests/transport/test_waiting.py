"""What was spent waiting for a peer, and nothing else, is measured."""

import asyncio
import time

import pytest

from gateway.transport import AnyTransport, measure_waiting

pytestmark = pytest.mark.anyio


@pytest.fixture
async def slow_server():
    """Answers 0.2 s after the request, in two parts 0.2 s apart."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(0.2)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab")
            await asyncio.sleep(0.2)
            writer.write(b"cd")
            await reader.read()
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    server.close()


async def test_head_and_body_are_waited_for_and_own_work_is_not(
    transport: AnyTransport, slow_server: str
) -> None:
    waiting = measure_waiting()
    async with await transport.send("GET", slow_server) as exchange:
        assert await anext(exchange) == b"ab"
        assert not exchange.ended
        time.sleep(0.1)  # noqa: ASYNC251 - work of ours, with the loop standing still
        assert await exchange.read() == b"cd"
        assert exchange.ended
    assert 0.25 < waiting.seconds < 0.39


async def test_tasks_of_others_do_not_count(transport: AnyTransport, slow_server: str) -> None:
    async def call() -> float:
        own = measure_waiting()
        async with await transport.send("GET", slow_server) as exchange:
            await exchange.read()
        return own.seconds

    waiting = measure_waiting()
    assert all(0.35 < seconds < 0.6 for seconds in await asyncio.gather(call(), call()))
    assert waiting.seconds == 0


async def test_a_failed_connection_was_waited_for(transport: AnyTransport) -> None:
    waiting = measure_waiting()
    with pytest.raises(Exception, match=r"(?i)connect"):
        await transport.send("GET", "http://127.0.0.1:1/")
    assert waiting.seconds > 0
