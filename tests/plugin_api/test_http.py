"""The provider's failures arrive in our tree, and nothing of a URL or a token arrives with them."""

import asyncio
import http
import socket
import time
from collections.abc import AsyncGenerator
from email.utils import formatdate

import httpx
import msgspec
import pytest

from gateway.generation.errors import (
    AnswerCut,
    InvalidAnswer,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gateway.plugin_api.http import (
    Caps,
    Deadlines,
    Transport,
    TransportError,
    decode_json,
    fetch,
    http_client,
    open_stream,
    retry_after,
    upstream_error,
)
from gateway.plugin_api.testing import Received, reply, serve, stream_reply
from gateway.transport import (
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    FirstByteTimeout,
    TotalTimeout,
    open_transport,
)
from tests.transport.counting import count_connections

pytestmark = pytest.mark.anyio

TOKEN = "tok-canary"
HEADERS = ((b"authorization", b"Bearer tok-canary"),)
HASTE = Deadlines(connect=0.3, first_byte=0.2, between_bytes=0.2, total=5.0)


@pytest.fixture(params=["own", "httpx-aiohttp"])
async def transport(request: pytest.FixtureRequest) -> AsyncGenerator[Transport, None]:
    transport = await open_transport(request.param)
    yield transport
    await transport.aclose()


async def read_all(
    transport: Transport, url: str, deadlines: Deadlines | None = None, caps: Caps | None = None
) -> bytes:
    async with open_stream(
        transport, "POST", url, headers=HEADERS, body=b"{}", deadlines=deadlines, caps=caps
    ) as exchange:
        return b"".join([piece async for piece in exchange])


def is_in_use(transport: Transport) -> bool:
    connections, idle = count_connections(transport)
    return connections > idle


async def nothing_is_in_use(transport: Transport) -> None:
    async with asyncio.timeout(1):
        while is_in_use(transport):
            await asyncio.sleep(0)


HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (None, UpstreamTimeout),
        ([b""], UpstreamUnreachable),
        ([b"HTTP/1.1 200 OK\r\n"], UpstreamUnreachable),
        ([HEAD, b"12345"], AnswerCut),
        ([b"HELO\r\n\r\n"], InvalidAnswer),
        (reply(200, b"x" * 200), InvalidAnswer),
    ],
)
async def test_failures_on_the_way_back(
    transport: Transport, answer: bytes | list[bytes] | None, kind: type[UpstreamError]
) -> None:
    async with serve(lambda _: answer) as wire:
        with pytest.raises(UpstreamError) as caught:
            await read_all(transport, f"{wire.url}/secret-path?key={TOKEN}", HASTE, Caps(body_bytes=100))
    assert type(caught.value) is kind
    assert caught.value.sent
    shown = f"{caught.value.message} {caught.value.__cause__}"
    assert not any(secret in shown for secret in ("secret-path", TOKEN, "127.0.0.1"))
    await nothing_is_in_use(transport)


async def test_silence_in_mid_body_is_a_timeout(transport: Transport) -> None:
    release = asyncio.Event()

    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b"123")
        await release.wait()
        writer.close()

    server = await asyncio.start_server(stall, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(UpstreamTimeout) as caught:
        await read_all(transport, f"http://127.0.0.1:{port}/", HASTE)
    assert caught.value.sent
    release.set()
    server.close()


async def test_nobody_listens(transport: Transport) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(UpstreamUnreachable) as caught:
        await fetch(transport, "GET", f"http://127.0.0.1:{port}/")
    assert not caught.value.sent


@pytest.mark.parametrize(
    ("error", "kind", "sent"),
    [
        (ConnectTimeout("host.test"), UpstreamTimeout, False),
        (ConnectError("host.test"), UpstreamUnreachable, False),
        (FirstByteTimeout("host.test"), UpstreamTimeout, True),
        (TotalTimeout("host.test"), UpstreamTimeout, True),
        (ConnectionLost("host.test", sent=False), UpstreamUnreachable, False),
        (TransportError("host.test"), UpstreamUnreachable, True),
    ],
)
def test_each_failure_has_its_place_in_our_tree(
    error: TransportError, kind: type[UpstreamError], sent: bool
) -> None:
    told = upstream_error(error)
    assert (type(told), told.sent) == (kind, sent)
    assert "host.test" not in told.message


@pytest.mark.parametrize("url", ["ftp://example.test/", "http://user:pw@example.test/", "nonsense"])
async def test_a_call_that_cannot_be_sent_was_not_sent(transport: Transport, url: str) -> None:
    with pytest.raises(UpstreamUnreachable, match="as it is configured") as caught:
        await fetch(transport, "GET", url)
    assert not caught.value.sent


async def test_errors_of_the_block_itself_pass_and_close(transport: Transport) -> None:
    async with serve(lambda _: reply(200, b"x" * 10)) as wire:
        with pytest.raises(ZeroDivisionError):
            async with open_stream(transport, "GET", wire.url):
                raise ZeroDivisionError
        assert not is_in_use(transport)


async def test_leaving_early_closes_the_connection(transport: Transport) -> None:
    async with serve(lambda _: [HEAD, b"12"]) as wire:
        async with open_stream(transport, "GET", wire.url) as exchange:
            assert exchange.status == 200
        await nothing_is_in_use(transport)


async def test_fetch_returns_whatever_the_status_is(transport: Transport) -> None:
    headers = {"Retry-After": "3", "X-Twice": "first"}
    async with serve(lambda _: reply(429, b'{"a":1}', headers=headers)) as wire:
        answer = await fetch(transport, "POST", wire.url, headers=HEADERS, body=b"[]")
    assert (answer.status, answer.headers["retry-after"]) == (429, "3")
    assert answer.decode(msgspec.json.Decoder(dict[str, int])) == {"a": 1}
    assert wire.requests[0].body == b"[]"
    assert wire.requests[0].headers["authorization"] == "Bearer tok-canary"


async def test_of_a_repeated_header_the_first_counts(transport: Transport) -> None:
    raw = b"HTTP/1.1 200 X\r\nx-a: first\r\nX-A: second\r\ncontent-length: 0\r\n\r\n"
    async with serve(lambda _: raw) as wire:
        answer = await fetch(transport, "GET", wire.url)
    assert answer.headers["x-a"] == "first"


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b'"\xff"', b'{"a":"x"}', b"[" * 100_000, b"<html>"])
def test_json_that_cannot_be_read_is_an_invalid_answer(data: bytes) -> None:
    with pytest.raises(InvalidAnswer) as caught:
        decode_json(data, msgspec.json.Decoder(dict[str, int]))
    assert "html" not in caught.value.message


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("3", 3.0), ("0.5", 0.5), ("-1", 0.0), ("nan", None), ("inf", None), ("", None), ("soon", None)],
)
def test_retry_after_in_seconds(value: str, seconds: float | None) -> None:
    assert retry_after(value) == seconds


def test_retry_after_as_a_date() -> None:
    assert 55 < (retry_after(formatdate(time.time() + 60, usegmt=True)) or 0) <= 60
    assert retry_after("Thu, 01 Jan 1970 00:00:00 GMT") == 0
    assert retry_after("Thu, 99 Jan 1970 00:00:00 GMT") is None


async def test_the_httpx_client_keeps_no_cookie_and_follows_no_redirect(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(received: Received) -> bytes:
        moved = {"location": "/elsewhere", "set-cookie": "who=a; Path=/"}
        return reply(http.HTTPStatus.FOUND, b"", headers=moved)

    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with serve(answer) as wire:
        async with http_client(transport, base_url=wire.url, headers={"x-own": "1"}) as client:
            assert (await client.get("/first")).status_code == http.HTTPStatus.FOUND
            assert not client.cookies
            await client.get("/second")
        assert [request.path for request in wire.requests] == ["/first", "/second"]
        assert all("cookie" not in request.headers for request in wire.requests)
        assert wire.requests[0].headers["x-own"] == "1"
        assert (await fetch(transport, "GET", wire.url)).status == http.HTTPStatus.FOUND


async def test_the_httpx_clients_jar_takes_nothing_in(transport: Transport) -> None:
    async with http_client(transport) as client:
        request = httpx.Request("GET", "http://provider.test/")
        answered = httpx.Response(200, headers={"set-cookie": "who=a; Path=/"}, request=request)
        client.cookies.extract_cookies(answered)
        assert not client.cookies


async def test_a_stream_without_a_length_ends_with_its_connection(transport: Transport) -> None:
    async with serve(lambda _: stream_reply(b"data: a\n\n", b"data: b\n\n")) as wire:
        assert await read_all(transport, wire.url) == b"data: a\n\ndata: b\n\n"
