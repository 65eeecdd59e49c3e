"""httpx's API: the same behaviour over our transport and over the fallback, then what is ours alone."""

import asyncio
import gzip

import aiohttp
import httpx
import pytest
from httpx_aiohttp import AiohttpTransport

from gateway.transport import (
    Caps,
    Deadlines,
    FirstByteTimeout,
    HttpxTransport,
    SilenceTimeout,
    TotalTimeout,
    Transport,
    TransportError,
)

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"


@pytest.fixture
async def ours():
    async with httpx.AsyncClient(transport=HttpxTransport()) as client:
        yield client


@pytest.fixture(params=["ours", "aiohttp"])
async def client(request):
    transport = HttpxTransport() if request.param == "ours" else AiohttpTransport()
    async with httpx.AsyncClient(transport=transport, timeout=5) as client:
        yield client


# The same over both.


@pytest.mark.parametrize("raw", [OK, CHUNKED], ids=["length", "chunked"])
async def test_connections_are_used_again(client, answer, raw):
    server = await answer(raw)
    for _ in range(10):
        response = await client.post(server.url, json={"a": 1})
        assert (response.status_code, response.text) == (200, "hello")
    assert server.accepted == 1
    assert server.requests[0][1] == b'{"a":1}'


async def test_a_stream_is_uploaded_and_downloaded(client, answer):
    server = await answer([CHUNKED[:-15], CHUNKED[-15:]], pause=0.02)

    async def pieces():
        yield b"one"
        yield b"two"

    async with client.stream("POST", server.url, content=pieces()) as response:
        assert b"".join([piece async for piece in response.aiter_raw()]) == b"hello"
    assert server.requests[0][1] == b"onetwo"


async def test_a_form_with_a_file_is_uploaded(client, answer):
    server = await answer(OK)
    await client.post(server.url, files={"file": ("a.bin", b"\0" * 200_000)}, data={"k": "v"})
    head, body = server.requests[0]
    assert b"multipart/form-data; boundary=" in head
    assert b"\0" * 200_000 in body


@pytest.mark.parametrize("raw", [b"HTTP/1.1 204 No\r\n\r\n", b"HTTP/1.1 304 Same\r\nETag: x\r\n\r\n"])
async def test_no_body(client, answer, raw):
    server = await answer(raw)
    assert (await client.get(server.url)).content == b""


async def test_head(client, answer):
    server = await answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
    response = await client.head(server.url)
    assert (response.content, response.headers["content-length"]) == (b"", "5")


async def test_a_redirect_is_not_followed(client, answer):
    server = await answer(b"HTTP/1.1 307 Go\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n")
    assert (await client.get(server.url)).status_code == 307
    assert len(server.requests) == 1


async def test_a_cut_body_is_an_error(client, answer):
    server = await answer(OK[:-1], close=True)
    with pytest.raises(httpx.TransportError):
        await client.get(server.url)


async def test_garbage_is_an_error(client, answer):
    server = await answer(b"SSH-2.0\r\n\r\n", close=True)
    # httpx-aiohttp has no httpx class for this one.
    with pytest.raises((httpx.RemoteProtocolError, aiohttp.ClientResponseError)):
        await client.get(server.url)


async def test_nobody_there(client, answer):
    server = await answer(OK)
    await server.stop()
    with pytest.raises(httpx.TransportError):
        await client.get(server.url)


async def test_silence_is_a_read_timeout(client, answer):
    server = await answer(OK[:-1])
    with pytest.raises(httpx.ReadTimeout):
        await client.get(server.url, timeout=0.1)


async def test_leaving_a_stream_early_closes_its_socket(client, answer):
    server = await answer(OK[:-1])
    async with client.stream("GET", server.url) as response:
        assert response.status_code == 200
    await server.until_empty()


async def test_cancels_leave_nothing_behind(client, answer):
    server = await answer([OK[:10], OK[10:]], pause=0.005)
    for turn in range(40):
        call = asyncio.create_task(client.post(server.url, content=b"x"))
        await asyncio.sleep(turn % 8 / 1000)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
    assert [(await client.post(server.url)).text for _ in range(20)] == ["hello"] * 20
    await client.aclose()
    await server.until_empty()


# Ours alone.


@pytest.mark.parametrize(
    ("raw", "theirs"),
    [
        (b"", httpx.ReadError),
        (OK[:-1], httpx.ReadError),
        (b"SSH-2.0\r\n\r\n", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", httpx.RemoteProtocolError),
    ],
)
async def test_an_error_has_httpxs_class_and_ours_as_its_cause(ours, answer, raw, theirs):
    server = await answer(raw, close=True)
    with pytest.raises(theirs) as caught:
        await ours.get(server.url)
    assert isinstance(caught.value.__cause__, TransportError)
    assert caught.value.__cause__.sent
    assert caught.value.request.url.port == server.port


async def test_what_was_never_sent_says_so(ours, answer):
    server = await answer(OK)
    await server.stop()
    with pytest.raises(httpx.ConnectError) as caught:
        await ours.get(server.url)
    assert not caught.value.__cause__.sent


async def test_a_url_with_a_password_is_refused(ours):
    with pytest.raises(httpx.LocalProtocolError):
        await ours.get("http://user:pw@127.0.0.1:9/")


async def test_only_identity_is_asked_for_and_nothing_else_is_taken(ours, answer):
    squeezed = gzip.compress(b"x" * 1000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(squeezed)
    server = await answer(head + squeezed)
    with pytest.raises(httpx.RemoteProtocolError):
        await ours.get(server.url)
    assert server.requests[0][0].lower().count(b"accept-encoding: identity\r\n") == 1


async def test_a_cookie_of_one_call_is_not_in_the_next(ours, answer):
    server = await answer(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nX-Kept: 1\r\nContent-Length: 0\r\n\r\n")
    for _ in range(2):
        response = await ours.get(server.url)
        assert response.headers["x-kept"] == "1"
    assert b"cookie" not in server.requests[1][0].lower()
    assert not ours.cookies


@pytest.mark.parametrize(
    ("raw", "pause", "deadlines", "cause"),
    [
        ([b""], 1, {"first_byte": 0.01, "total": 9}, FirstByteTimeout),
        ([OK[:-1]], 1, {"first_byte": 9, "total": 9}, SilenceTimeout),
        ([OK[:-5], b"h", b"e", b"l", b"l"], 0.1, {"total": 0.25}, TotalTimeout),
    ],
)
async def test_httpxs_read_timeout_and_our_total_both_hold(answer, raw, pause, deadlines, cause):
    server = await answer(raw, pause=pause)
    transport = HttpxTransport(Transport(deadlines=Deadlines(**deadlines)))
    async with httpx.AsyncClient(transport=transport, timeout=0.2) as client:
        with pytest.raises(httpx.ReadTimeout) as caught:
            await client.get(server.url)
    assert type(caught.value.__cause__) is cause


async def test_no_httpx_timeout_leaves_only_the_total(answer):
    server = await answer([b"", OK], pause=0.2)
    deadlines = Deadlines(connect=0.1, first_byte=0.1, between_bytes=0.1, total=2)
    async with httpx.AsyncClient(
        transport=HttpxTransport(Transport(deadlines=deadlines)), timeout=None
    ) as client:
        assert (await client.get(server.url)).text == "hello"


async def test_the_caps_are_the_transports(answer):
    server = await answer(OK)
    async with httpx.AsyncClient(transport=HttpxTransport(Transport(caps=Caps(body_bytes=4)))) as client:
        with pytest.raises(httpx.RemoteProtocolError, match="larger than 4"):
            await client.get(server.url)
