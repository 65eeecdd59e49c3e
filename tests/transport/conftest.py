"""Servers that do as they are told, on real sockets."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from gateway.transport import AnyTransport, Transport
from gateway.transport.over_aiohttp import make_aiohttp_transport
from tests.certificates import make_certificate
from tests.transport.counting import count_connections

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request):
    """Run every test on both loops: uvloop serves, asyncio is what Windows and debuggers get."""
    return "asyncio", {"use_uvloop": request.param}


class Server:
    """A raw TCP server: it counts its connections and keeps the requests it read."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._tasks: set[asyncio.Task[None]] = set()
        self.accepted = 0
        self.requests: list[tuple[bytes, bytes]] = []

    async def start(self, host="127.0.0.1", **options) -> None:
        self._server = await asyncio.start_server(self._serve, host, 0, **options)
        self.port = self._server.sockets[0].getsockname()[1]
        scheme = "https" if "ssl" in options else "http"
        self.url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def until_empty(self) -> None:
        """Wait until every client has gone."""
        async with asyncio.timeout(5):
            while self._tasks:
                await asyncio.wait(self._tasks)

    async def _serve(self, reader, writer) -> None:
        self._tasks.add(asyncio.current_task())
        self.accepted += 1
        try:
            await self._handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client has gone, or the test is over
        except RuntimeError as error:
            if "handler is closed" not in str(error):  # uvloop's way to say that the client has gone
                raise
        finally:
            self._tasks.discard(asyncio.current_task())
            writer.transport.abort()

    async def read_request(self, reader) -> tuple[bytes, bytes]:
        """Read one request; the body comes without its framing."""
        head = await reader.readuntil(b"\r\n\r\n")
        body = await self._read_body(head.lower(), reader)
        self.requests.append((head, body))
        return head, body

    async def _read_body(self, head: bytes, reader) -> bytes:
        if b"\r\ntransfer-encoding: chunked" not in head:
            _, found, rest = head.partition(b"\r\ncontent-length: ")
            return await reader.readexactly(int(rest.split(b"\r\n")[0])) if found else b""
        body = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
        return body


@pytest.fixture
async def start() -> AsyncGenerator[Callable[..., Awaitable[Server]], None]:
    """Start servers with a handler of ``(server, reader, writer)``; stopped when the test ends."""
    async with AsyncExitStack() as stack:

        async def start_server(handler, **options) -> Server:
            server = Server(lambda reader, writer: handler(server, reader, writer))
            await server.start(**options)
            stack.push_async_callback(server.stop)
            return server

        yield start_server


@pytest.fixture
async def answer(start) -> Callable[..., Awaitable[Server]]:
    """Start a server that gives each request of a connection the next of the answers, then the last again.

    An answer is bytes, or pieces sent ``pause`` seconds apart; with ``close`` the connection then ends.
    """

    async def start_server(*answers, close=False, pause=0.0, **options) -> Server:
        async def handler(server, reader, writer) -> None:
            left = list(answers)
            while True:
                await server.read_request(reader)
                pieces = left.pop(0) if len(left) > 1 else left[0]
                for piece in [pieces] if isinstance(pieces, bytes) else pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(pause)
                if close:
                    writer.close()
                    await writer.wait_closed()
                    return

        return await start(handler, **options)

    return start_server


@pytest.fixture(params=[Transport, make_aiohttp_transport], ids=["own", "aiohttp"])
def make_transport(request) -> Callable[..., AnyTransport]:
    """Our own transport, and the fallback."""
    return request.param


@pytest.fixture
async def transport(make_transport) -> AsyncGenerator[AnyTransport, None]:
    """Either of the two: what it does is the contract."""
    made = make_transport(idle_seconds=1.0)
    yield made
    await made.aclose()
    assert count_connections(made) == (0, 0)


@pytest.fixture
async def own() -> AsyncGenerator[Transport, None]:
    """Our own transport, for what only it can do."""
    made = Transport()
    yield made
    await made.aclose()
    assert made.open_connections == 0


@pytest.fixture(scope="session")
def certificate_files(tmp_path_factory):
    """Make a certificate for localhost, 127.0.0.1 and ::1, signed by itself."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def certificate(certificate_files):
    """The server's TLS context."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate_files)
    return context


@pytest.fixture
def client_context(certificate_files):
    """A client's TLS context that trusts the test certificate."""
    return ssl.create_default_context(cafile=certificate_files[0])
