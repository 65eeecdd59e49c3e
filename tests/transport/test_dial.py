"""Connecting to the first address that answers."""

import asyncio
import socket
import time

import pytest

from gateway.transport import ConnectError, ConnectTimeout, Deadlines, Transport, dial

pytestmark = pytest.mark.anyio


@pytest.fixture
def deaf():
    """An address that accepts nobody: its queue is full, so a connection attempt hangs."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = []
    for _ in range(3):
        fillers.append(socket.socket())
        fillers[-1].setblocking(False)
        fillers[-1].connect_ex(listener.getsockname())
    time.sleep(0.05)
    yield listener.getsockname()
    for sock in (listener, *fillers):
        sock.close()


@pytest.fixture
def resolve(monkeypatch):
    """Give a name the addresses that a test wants."""

    def to(*addresses):
        async def known(host, port):
            return [(socket.AF_INET, address) for address in addresses]

        monkeypatch.setattr(dial, "_resolve", known)

    return to


async def test_a_second_address_is_tried_while_the_first_hangs(answer, deaf, resolve):
    server = await answer(b"")
    resolve(deaf, ("127.0.0.1", server.port), deaf)
    started = time.monotonic()
    sock = await dial.dial("name", 1)
    assert sock.getpeername() == ("127.0.0.1", server.port)
    assert 0.2 < time.monotonic() - started < 2
    sock.close()


async def test_a_refusal_moves_on_at_once(answer, resolve):
    server = await answer(b"")
    gone = await answer(b"")
    await gone.stop()
    resolve(("127.0.0.1", gone.port), ("127.0.0.1", server.port))
    started = time.monotonic()
    (await dial.dial("name", 1)).close()
    assert time.monotonic() - started < 0.2


async def test_when_all_refuse_the_first_reason_is_told(answer, resolve):
    gone = await answer(b"")
    await gone.stop()
    resolve(("127.0.0.1", gone.port), ("127.0.0.1", gone.port))
    with pytest.raises(ConnectionRefusedError):
        await dial.dial("name", 1)


async def test_the_families_take_turns(monkeypatch):
    v6, v4 = socket.AF_INET6, socket.AF_INET
    found = [(v6, 0, 0, "", "a"), (v6, 0, 0, "", "b"), (v6, 0, 0, "", "c"), (v4, 0, 0, "", "d")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert await dial._resolve("name", 1) == [(v6, "a"), (v4, "d"), (v6, "b"), (v6, "c")]


PRIVATE = ("127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0")
OTHER = ("224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "2001:db8::1")
WRAPPED = ("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:a00:1::")


@pytest.mark.parametrize("address", PRIVATE + OTHER + WRAPPED)
def test_an_address_inside_is_not_public(address):
    assert not dial.is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_an_address_outside_is(address):
    assert dial.is_public(address)


async def test_only_allowed_addresses_are_dialled(answer, resolve):
    server, other = await answer(b""), await answer(b"", host="127.0.0.2")
    resolve(("127.0.0.1", server.port), ("127.0.0.2", other.port))
    sock = await dial.dial("name", 1, lambda address: address == "127.0.0.2")
    assert sock.getpeername() == ("127.0.0.2", other.port)
    sock.close()


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "127.1"]
)
async def test_a_public_transport_never_connects_inside(answer, host):
    server = await answer(b"")
    transport = Transport(public_only=True)
    with pytest.raises(ConnectError, match="no address that may be connected to"):
        await transport.send("GET", f"http://{host}:{server.port}/")
    assert server.accepted == transport.open_connections == 0


def test_a_proxy_cannot_promise_public_addresses():
    with pytest.raises(ValueError, match="proxy"):
        Transport(public_only=True, proxy="http://127.0.0.1:1")


async def test_a_late_winner_is_closed(answer, monkeypatch, resolve):
    """Two attempts that succeed in one turn of the loop: one socket is used, the other closed."""
    server = await answer(b"")
    made = []
    connect = dial._connect

    async def remembered(address):
        await asyncio.sleep(0)
        made.append(await connect(address))
        return made[-1]

    monkeypatch.setattr(dial, "_connect", remembered)
    monkeypatch.setattr(dial, "_HEAD_START", 0.0)
    resolve(*[("127.0.0.1", server.port)] * 4)
    won = await dial.dial("name", 1)
    await asyncio.sleep(0.05)
    assert [sock for sock in made if sock.fileno() != -1] == [won]
    won.close()


async def test_a_hanging_address_meets_the_connect_deadline(deaf):
    transport = Transport(deadlines=Deadlines(connect=0.1))
    started = time.monotonic()
    with pytest.raises(ConnectTimeout) as caught:
        await transport.send("GET", f"http://127.0.0.1:{deaf[1]}/")
    assert time.monotonic() - started < 2
    assert not caught.value.sent
    assert transport.open_connections == 0


async def test_closing_the_transport_while_it_connects_leaves_nothing(deaf):
    transport = Transport(deadlines=Deadlines(connect=0.2))
    sending = asyncio.create_task(transport.send("GET", f"http://127.0.0.1:{deaf[1]}/"))
    await asyncio.sleep(0.05)
    await transport.aclose()
    with pytest.raises(ConnectError):
        await sending
    assert transport.open_connections == 0
