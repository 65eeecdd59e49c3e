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
