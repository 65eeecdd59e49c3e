"""What the transport over httpx's does in its own way; the contract is tested beside our own."""

import asyncio
import ssl

import httpx
import pytest

from gateway.transport import (
    Caps,
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    Deadlines,
    InvalidRequest,
    ProtocolError,
    ReadTimeout,
    SilenceTimeout,
    TooLarge,
    TransportError,
    open_transport,
)
from gateway.transport.over_aiohttp import make_aiohttp_transport
from gateway.transport.over_httpx import OverHttpx
from tests.transport.counting import count_connections

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello"


class Failing(httpx.AsyncBaseTransport):
    """Fails, before or after it has taken the first piece of the body."""

    def __init__(self, error, *, late=False) -> None:
        self.error = error
        self.late = late

    async def handle_async_request(self, request):
        if self.late:
            await anext(aiter(request.stream))
        raise self.error


@pytest.fixture
async def fallback():
    made = await open_transport("httpx-aiohttp", Deadlines())
    yield made
    await made.aclose()
    assert count_connections(made) == (0, 0)


async def fetch(transport, url, method="GET", **options):
    async with await transport.send(method, url, **options) as exchange:
        return await exchange.read()


async def test_nothing_is_sent_that_nobody_gave(fallback, answer):
    server = await answer(OK)
    assert (
        await fetch(fallback, f"{server.url}/a?b=c", "POST", headers=[(b"X-Key", b"v")], body=b"hi")
        == b"hello"
    )
    head, body = server.requests[0]
    line, *fields = head.decode().lower().removesuffix("\r\n\r\n").split("\r\n")
    assert (line, body) == ("post /a?b=c http/1.1", b"hi")
    assert sorted(fields) == [
        "accept-encoding: identity",
        "content-length: 2",
        f"host: 127.0.0.1:{server.port}",
        "x-key: v",
    ]


async def test_there_is_no_limit_of_connections(fallback, answer):
    server = await answer(OK, pause=0.3)
    async with asyncio.timeout(5):
        await asyncio.gather(*(fetch(fallback, server.url) for _ in range(120)))
    assert server.accepted == 120


async def test_a_call_without_a_body_has_no_framing(fallback, answer):
    server = await answer(OK)
    await fetch(fallback, server.url)
    assert b"length" not in server.requests[0][0].lower()
    assert b"encoding: chunked" not in server.requests[0][0].lower()


@pytest.mark.parametrize(
    ("theirs", "ours", "sent"),
    [
        (httpx.ConnectError, ConnectError, False),
        (httpx.ConnectTimeout, ConnectTimeout, False),
        (httpx.PoolTimeout, ConnectTimeout, False),
        (httpx.ProxyError, ConnectError, False),
        (httpx.LocalProtocolError, InvalidRequest, False),
        (httpx.UnsupportedProtocol, InvalidRequest, False),
        (httpx.ReadTimeout, ReadTimeout, True),
        (httpx.ReadError, ConnectionLost, True),
        (httpx.WriteError, ConnectionLost, True),
        (httpx.RemoteProtocolError, ProtocolError, True),
    ],
)
async def test_an_error_has_our_class_and_says_whether_anything_was_sent(theirs, ours, sent):
    with pytest.raises(TransportError) as caught:
        await OverHttpx(Failing(theirs("why"))).send("POST", "http://a/", body=b"pay")
    assert (type(caught.value), caught.value.sent) == (ours, sent)


@pytest.mark.parametrize("theirs", [httpx.ConnectError, httpx.ConnectTimeout, httpx.LocalProtocolError])
async def test_what_fails_after_the_body_was_begun_was_sent_whatever_it_is_called(theirs):
    with pytest.raises(ConnectionLost) as caught:
        await OverHttpx(Failing(theirs("why"), late=True)).send("POST", "http://a/", body=b"pay")
    assert caught.value.sent


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_server_that_hangs_up_was_reached(fallback, answer, method):
    server = await answer(b"", close=True)
    with pytest.raises(ConnectionLost) as caught:
        await fetch(fallback, server.url, method)
    assert caught.value.sent


async def test_a_call_without_a_body_has_the_time_to_connect_more(fallback, answer):
    server = await answer([b"", OK], pause=0.2)
    assert await fetch(fallback, server.url, deadlines=Deadlines(connect=5, first_byte=0.1)) == b"hello"
    with pytest.raises(ReadTimeout):
        await fetch(fallback, server.url, deadlines=Deadlines(connect=0.05, first_byte=0.05))


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"HTTP/1.1 200 OK\r\nA: " + b"x" * 40_000 + b"\r\nB: " + b"x" * 40_000 + b"\r\n\r\n", TooLarge),
        (b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000 + b"\r\n\r\n", ProtocolError),
        (b"HTTP/1.1 200 OK\r\nA: " + b"x" * 400_000, ProtocolError),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20_000 + b"\r\n", ProtocolError),
    ],
    ids=["head", "line", "endless line", "lines"],
)
async def test_a_head_has_a_cap_of_some_kind(fallback, answer, raw, kind):
    server = await answer(raw)
    with pytest.raises(kind):
        await fetch(fallback, server.url)
    await server.until_empty()


async def test_every_step_after_an_error_or_the_end_says_the_same(fallback, answer):
    server = await answer(CUT, close=True)
    async with await fallback.send("GET", server.url) as exchange:
        assert await anext(exchange) == b"hello"
        for _ in range(2):
            with pytest.raises(ConnectionLost):
                await anext(exchange)
        assert exchange.ended
    whole = await answer(OK)
    async with await fallback.send("GET", whole.url) as exchange:
        assert not exchange.ended
        assert [await exchange.read(), await exchange.read()] == [b"hello", b""]
        assert exchange.ended


async def test_closing_early_ends_the_exchange_at_once_and_its_socket_soon(fallback, answer):
    server = await answer(CUT)
    exchange = await fallback.send("GET", server.url)
    exchange.close()
    exchange.close()
    await exchange.aclose()
    assert exchange.ended
    with pytest.raises(ConnectionLost):
        await anext(exchange)
    await server.until_empty()
    assert count_connections(fallback) == (0, 0)


async def test_a_body_that_is_too_large_is_given_up(fallback, answer):
    server = await answer([b"HTTP/1.1 200 OK\r\n\r\n"] + [b"x" * 600] * 100, pause=0.02)
    async with await fallback.send("GET", server.url, caps=Caps(body_bytes=1000)) as exchange:
        assert await anext(exchange) == b"x" * 600
        with pytest.raises(TooLarge):
            await anext(exchange)
    await server.until_empty()


async def test_closing_the_transport_closes_an_answer_that_is_being_read(answer):
    server = await answer(CUT)
    transport = make_aiohttp_transport()
    exchange = await transport.send("GET", server.url)
    assert await anext(exchange) == b"hello"
    step = asyncio.create_task(anext(exchange))
    await asyncio.sleep(0.01)
    await transport.aclose()
    with pytest.raises(ConnectionLost):
        await step
    await server.until_empty()


async def test_an_upload_that_goes_on_does_not_prolong_the_wait_for_the_answers_body(fallback, start):
    async def handler(server, reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(CUT)
        while await reader.read(65_536):
            pass

    async def endless():
        while True:
            yield b"x"
            await asyncio.sleep(0.05)

    server = await start(handler)
    async with asyncio.timeout(5):
        with pytest.raises(SilenceTimeout):
            await fetch(fallback, server.url, "POST", body=endless(), deadlines=Deadlines(between_bytes=0.2))
    await server.until_empty()


@pytest.mark.parametrize("rest", [b"xyz\r\n", b"5\r\nhelloX", b"fffffffffffffffff\r\n"])
async def test_a_body_that_breaks_the_rules_late_is_an_error_of_ours(fallback, answer, rest):
    server = await answer([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", rest], pause=0.05)
    with pytest.raises(TransportError):  # aiohttp closes the connection, but tells its reader nothing
        await fetch(fallback, server.url, deadlines=Deadlines(between_bytes=0.2))
    await server.until_empty()


async def test_a_url_that_httpx_does_not_take_is_no_request(fallback):
    with pytest.raises(InvalidRequest):
        await fetch(fallback, "http://127.0.0.1/" + "x" * 70_000)


async def test_deadlines_hold_over_any_transport_of_httpxs(answer):
    """Even over one that keeps none itself."""
    server = await answer(CUT)
    transport = OverHttpx(httpx.AsyncHTTPTransport(verify=ssl.create_default_context()))
    with pytest.raises(SilenceTimeout):
        await fetch(transport, server.url, "POST", body=b"x", deadlines=Deadlines(between_bytes=0.1))
    await server.until_empty()
    await transport.aclose()
