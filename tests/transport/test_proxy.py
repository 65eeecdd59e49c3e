"""Requests through a proxy."""

import asyncio
import base64

import pytest

from gateway.transport import ConnectError, ConnectTimeout, Deadlines, Transport
from gateway.transport.proxy import parse_proxy

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


async def fetch(transport, url, **options):
    async with await transport.send("POST", url, **options) as exchange:
        return await exchange.read()


@pytest.fixture
async def through(client_context):
    """Make transports that use a proxy."""
    made = []

    def make(url):
        made.append(Transport(proxy=url, ssl_context=client_context))
        return made[-1]

    yield make
    for transport in made:
        await transport.aclose()
        assert transport.open_connections == 0


@pytest.fixture
async def tunnel(start):
    """Start a proxy that answers CONNECT and then passes bytes on, both ways."""

    async def copy(reader, writer):
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
        writer.close()

    async def handler(server, reader, writer):
        head, _ = await server.read_request(reader)
        host, _, port = head.split()[1].decode().rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host.strip("[]"), int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
        try:
            await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))
        finally:
            far_writer.transport.abort()

    return await start(handler)


async def test_plain_http_asks_the_proxy_for_the_whole_url(answer, through):
    proxy = await answer(OK)
    transport = through(f"http://us%40er:pa%3Ass@127.0.0.1:{proxy.port}")
    for _ in range(2):
        assert await fetch(transport, "http://far.invalid:8080/a?b", body=b"x") == b"hello"
    head, body = proxy.requests[0]
    assert head.startswith(b"POST http://far.invalid:8080/a?b HTTP/1.1\r\n")
    assert b"host: far.invalid:8080\r\n" in head
    assert b"proxy-authorization: Basic %b\r\n" % base64.b64encode(b"us@er:pa:ss") in head
    assert body == b"x"
    assert proxy.accepted == 1


async def test_https_goes_through_a_tunnel_and_stays_private(answer, through, tunnel, certificate):
    server = await answer(OK, ssl=certificate)
    transport = through(f"http://user:pw@127.0.0.1:{tunnel.port}")
    url = f"https://localhost:{server.port}/x"
    for _ in range(3):
        assert (
            await fetch(transport, url, headers=[(b"authorization", b"secret")], body=b"x" * 100_000)
            == b"hello"
        )
    assert tunnel.accepted == server.accepted == 1
    head, _ = tunnel.requests[0]
    assert head.startswith(b"CONNECT localhost:%d HTTP/1.1\r\n" % server.port)
    assert b"proxy-authorization: Basic" in head
    assert b"secret" not in head
    inner, _ = server.requests[0]
    assert inner.startswith(b"POST /x HTTP/1.1\r\n")
    assert b"proxy-authorization" not in inner


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nunasked",
        b"SSH-2.0\r\n\r\n",
        b"HTTP/1.1 200 " + b"x" * 40_000,
        b"",
    ],
)
async def test_a_proxy_that_gives_no_tunnel_is_a_connect_error(answer, through, raw):
    proxy = await answer(raw, close=True)
    transport = through(f"http://127.0.0.1:{proxy.port}")
    with pytest.raises(ConnectError) as caught:
        await fetch(transport, "https://far.invalid/", body=b"secret")
    assert not caught.value.sent
    assert transport.open_connections == 0
    await proxy.until_empty()


async def test_a_proxy_that_hangs_meets_the_connect_deadline(start, through):
    async def mute(server, reader, writer):
        await reader.read()
        await reader.read()

    proxy = await start(mute)
    transport = through(f"http://127.0.0.1:{proxy.port}")
    with pytest.raises(ConnectTimeout):
        await fetch(transport, "https://far.invalid/", deadlines=Deadlines(connect=0.1))
    await proxy.until_empty()


async def test_the_environment_is_not_asked(answer, transport, monkeypatch):
    server = await answer(OK)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert await fetch(transport, server.url) == b"hello"


@pytest.mark.parametrize(
    "url", ["", "proxy:80", "https://proxy", "socks5://proxy", "http://", "http://p/x", "http://p:x"]
)
def test_a_proxy_we_cannot_use_is_refused_at_once(url):
    with pytest.raises(ValueError):
        Transport(proxy=url)


def test_a_password_is_not_shown():
    proxy = parse_proxy("http://user:hunter2@proxy:3128")
    assert repr(proxy) == "Proxy(proxy:3128)"
