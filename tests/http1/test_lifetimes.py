"""How connections end: by time, by the server's end, without leftovers."""

import asyncio
import gc
import socket
import weakref
from typing import Any

import pytest
import uvicorn

from gateway.http1 import HttpProtocol
from gateway.http1.connection import Connection
from tests.http1.clients import Client, calling, echo

pytestmark = pytest.mark.anyio

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


class Server:
    """A uvicorn whose end can be asked for."""

    def __init__(self, app: Any, **settings: Any) -> None:
        self.protocol = HttpProtocol()
        config = uvicorn.Config(
            app, http=self.protocol, lifespan="off", log_config=None, timeout_graceful_shutdown=2, **settings
        )
        self.server = uvicorn.Server(config)
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.work = asyncio.create_task(self.server._serve([self.sock]))
        self.address = self.sock.getsockname()

    async def connect(self) -> Client:
        while not self.server.started:
            await asyncio.sleep(0.005)
        return Client(*await asyncio.open_connection(*self.address))

    async def end(self) -> None:
        self.server.should_exit = True
        await self.work


async def test_an_idle_connection_expires() -> None:
    server = Server(echo, timeout_keep_alive=0.1)
    client = await server.connect()
    for _ in range(3):
        client.send(GET)
        await client.answer()
        await asyncio.sleep(0.05)
    assert await client.rest() == b""
    client.writer.close()
    assert not server.server.server_state.connections
    assert server.server.server_state.total_requests == 3
    await server.end()


async def test_an_answer_may_take_longer_than_an_idle_connection() -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.3)
        await echo(scope, receive, send)

    server = Server(slow, timeout_keep_alive=0.05)
    client = await server.connect()
    client.send(GET + GET + b"GET / HT")
    for _ in range(2):
        assert (await client.answer())[1] == b"GET / "
    client.writer.close()
    await server.end()


async def test_a_server_that_ends_closes_what_is_idle_and_answers_the_rest() -> None:
    go = asyncio.Event()

    async def wait(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        await echo(scope, receive, send)

    server = Server(wait)
    new, busy, pipelined = [await server.connect() for _ in range(3)]
    busy.send(GET)
    pipelined.send(GET * 3)
    await asyncio.sleep(0.02)
    ending = asyncio.create_task(server.end())
    assert await new.rest() == b""
    go.set()
    answer = await busy.rest()
    assert answer.endswith(b"GET / ")
    assert b"connection: close" in answer
    answers = await pipelined.rest()
    assert answers.count(b"HTTP/1.1 200") == 3
    assert answers.count(b"connection: close") == 1
    await asyncio.wait_for(ending, 2)
    for client in (new, busy, pipelined):
        client.writer.close()


async def test_an_answer_that_outlasts_the_drain_is_cut() -> None:
    async def stuck(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(60)

    server = Server(stuck)
    client = await server.connect()
    client.send(GET)
    await asyncio.sleep(0.02)
    ending = asyncio.create_task(server.end())
    assert (await client.rest()).startswith(b"HTTP/1.1 500")
    client.writer.close()
    await ending


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HT", GET, GET + GET, b"nonsense\r\n\r\n", GET + b"POST / HTTP/1.1\r\n"]
)
async def test_nothing_is_left_to_the_garbage_collector(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    remains: list[weakref.ref[Connection]] = []

    class Watched(Connection):
        __slots__ = ("__weakref__",)

        def __init__(self, shared: Any) -> None:
            super().__init__(shared)
            remains.append(weakref.ref(self))

    monkeypatch.setattr("gateway.http1.connection.Connection", Watched)
    gc.disable()
    try:
        async with calling(echo) as client:
            client.send(sent)
            await asyncio.sleep(0.05)
            client.writer.close()
            await asyncio.sleep(0.05)
            assert [remain() for remain in remains] == [None]
    finally:
        gc.enable()


async def test_no_exchange_outlives_its_answer() -> None:
    scopes: list[weakref.ref[Any]] = []

    class Mark:
        pass

    async def marked(scope: Any, receive: Any, send: Any) -> None:
        scope["mark"] = Mark()
        scopes.append(weakref.ref(scope["mark"]))
        await echo(scope, receive, send)

    gc.disable()
    try:
        async with calling(marked) as client:
            for _ in range(3):
                client.send(GET)
                await client.answer()
            await asyncio.sleep(0.02)
            assert [scope() for scope in scopes] == [None] * 3
    finally:
        gc.enable()
