import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.http1 import HttpProtocol
from tests.serving import serving

pytestmark = pytest.mark.anyio

HEAD = b"GET / HTTP/1.1\r\nhost: a\r\n"


async def answer_ok(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with serving(answer_ok, http=HttpProtocol(head_bytes=1000, head_seconds=0.3)) as url:
        host, _, port = url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            yield reader, writer
        finally:
            writer.close()
            await writer.wait_closed()


@pytest.mark.parametrize("begin", [b"\r\n", b"GET /", HEAD + b"x-filler: "])
async def test_a_large_head_is_refused(begin: bytes) -> None:
    async with connected() as (reader, writer):
        writer.write(begin)
        await asyncio.sleep(0.05)
        for _ in range(11):
            writer.write(b"\r\n" * 50 if begin == b"\r\n" else b"a" * 100)
            await asyncio.sleep(0.01)
        assert (await reader.read()).startswith(b"HTTP/1.1 400")


async def test_the_heads_of_one_connection_count_each_for_itself() -> None:
    async with connected() as (reader, writer):
        for _ in range(5):
            writer.write(HEAD + b"x-filler: " + b"a" * 800 + b"\r\n\r\n")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("piece", [100, 1000, 5000, 100_000])
async def test_a_body_is_no_head(piece: int) -> None:
    sent = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 20000\r\n\r\n" + b"a" * 20000
    async with connected() as (reader, writer):
        for at in range(0, len(sent), piece):
            writer.write(sent[at : at + piece])
            await asyncio.sleep(0)
        writer.write(HEAD)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("before", [b"", b"GET / HT", HEAD + b"\r\n" + HEAD])
async def test_a_head_that_does_not_come_is_not_waited_for(before: bytes) -> None:
    async with connected() as (reader, writer):
        writer.write(before)
        began = time.monotonic()
        await asyncio.wait_for(reader.read(), 2)
        assert 0.2 < time.monotonic() - began < 1


async def test_an_answer_may_take_longer_than_a_head() -> None:
    async with connected() as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\n")
        await asyncio.sleep(0.6)
        writer.write(b"a")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
