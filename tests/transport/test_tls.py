"""TLS, verified."""

import asyncio
import ssl
import time

import pytest

from gateway.transport import ConnectError, ConnectionLost, ConnectTimeout, Deadlines, Transport
from gateway.transport import transport as module
from tests.transport.counting import count_connections

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@pytest.fixture
async def trusting(make_transport, client_context):
    transport = make_transport(ssl_context=client_context)
    yield transport
    await transport.aclose()
    assert count_connections(transport)[0] == 0


def is_about_the_certificate(error):
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__
    return error is not None


async def fetch(transport, url, **options):
    async with await transport.send("POST", url, **options) as exchange:
        return await exchange.read()


async def test_a_verified_connection_is_used_again(trusting, answer, certificate):
    server = await answer(OK, ssl=certificate)
    for size in (0, 10, 3_000_000, 1):
        assert await fetch(trusting, server.url, body=b"x" * size) == b"hello"
    assert server.accepted == 1
    assert [len(body) for _, body in server.requests] == [0, 10, 3_000_000, 1]


async def test_the_name_is_sent(trusting, answer, certificate):
    names = []
    certificate.sni_callback = lambda sock, name, context: names.append(name)
    server = await answer(OK, ssl=certificate)
    assert await fetch(trusting, f"https://localhost:{server.port}/") == b"hello"
    assert names == ["localhost"]


async def test_a_certificate_of_nobody_we_know_is_refused(transport, answer, certificate):
    server = await answer(OK, ssl=certificate)
    with pytest.raises(ConnectError) as caught:
        await fetch(transport, f"https://localhost:{server.port}/", body=b"secret")
    assert is_about_the_certificate(caught.value)
    assert not caught.value.sent
    assert server.requests == []
    assert count_connections(transport)[0] == 0


async def test_a_certificate_for_another_name_is_refused(trusting, answer, certificate):
    server = await answer(OK, ssl=certificate, host="127.0.0.2")
    with pytest.raises(ConnectError) as caught:
        await fetch(trusting, server.url)
    assert is_about_the_certificate(caught.value)
    assert server.requests == []


async def test_a_server_without_tls_is_a_connect_error(trusting, start):
    async def plain(server, reader, writer):
        await reader.read(1)
        writer.write(OK)
        await writer.drain()

    server = await start(plain)
    with pytest.raises(ConnectError):
        await fetch(trusting, f"https://localhost:{server.port}/")
    assert count_connections(trusting)[0] == 0


async def test_a_handshake_that_hangs_meets_the_connect_deadline(trusting, start):
    async def mute(server, reader, writer):
        await reader.read()

    server = await start(mute)
    started = time.monotonic()
    with pytest.raises(ConnectTimeout):
        await fetch(trusting, f"https://localhost:{server.port}/", deadlines=Deadlines(connect=0.2))
    assert time.monotonic() - started < 2
    await server.until_empty()
    assert count_connections(trusting)[0] == 0


async def test_a_handshake_can_be_cancelled(trusting, start):
    async def mute(server, reader, writer):
        await reader.read()

    server = await start(mute)
    call = asyncio.create_task(fetch(trusting, f"https://localhost:{server.port}/"))
    await asyncio.sleep(0.1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await server.until_empty()
    assert count_connections(trusting)[0] == 0


async def test_a_cut_body_is_told(trusting, answer, certificate):
    server = await answer(OK[:-1], close=True, ssl=certificate)
    with pytest.raises(ConnectionLost):
        await fetch(trusting, server.url)


async def test_large_bodies_flow_both_ways(trusting, answer, certificate):
    big = b"y" * 5_000_000
    server = await answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n" + big, ssl=certificate)
    assert await fetch(trusting, server.url, body=big) == big
    assert server.requests[0][1] == big


async def test_one_context_is_made_for_all(answer, certificate, monkeypatch):
    made = []
    create = ssl.create_default_context
    monkeypatch.setattr(ssl, "create_default_context", lambda: made.append(create()) or made[-1])
    module._shared_context.cache_clear()
    server = await answer(OK, ssl=certificate)
    for _ in range(3):
        transport = Transport()
        with pytest.raises(ConnectError, match="certificate"):
            await fetch(transport, server.url)
    assert len(made) == 1
    assert made[0].verify_mode == ssl.CERT_REQUIRED
    assert made[0].check_hostname
