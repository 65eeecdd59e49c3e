"""An HTTP proxy between us and the server."""

import asyncio
import base64
import re
import socket
from urllib.parse import unquote, urlsplit

import msgspec

from gateway.transport.errors import ConnectError
from gateway.transport.target import Target

__all__ = ["Proxy", "open_tunnel", "parse_proxy"]

_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[ \r]")
_MAX_ANSWER = 16 * 1024


class Proxy(msgspec.Struct, frozen=True):
    """Where the proxy is and what it wants to hear."""

    host: str
    port: int
    fields: tuple[tuple[bytes, bytes], ...]
    """Header fields for the proxy alone."""

    def __repr__(self) -> str:
        return f"Proxy({self.host}:{self.port})"


def parse_proxy(url: str) -> Proxy:
    """Read ``http://[user:password@]host:port``. Raises ``ValueError``, without repeating the URL."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/") or parts.query:
        raise ValueError("a proxy is given as http://host:port")
    fields: tuple[tuple[bytes, bytes], ...] = ()
    if parts.username is not None:
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        fields = ((b"proxy-authorization", b"Basic " + base64.b64encode(credentials)),)
    return Proxy(host=parts.hostname, port=parts.port or 80, fields=fields)


async def open_tunnel(sock: socket.socket, proxy: Proxy, target: Target) -> None:
    """Ask the proxy for a tunnel to ``target``. Raises ``ConnectError`` or ``OSError``."""
    loop = asyncio.get_running_loop()
    endpoint = target.endpoint.encode()
    lines = [b"CONNECT %b HTTP/1.1" % endpoint, b"host: " + endpoint]
    lines += [b"%b: %b" % field for field in proxy.fields]
    await loop.sock_sendall(sock, b"\r\n".join(lines) + b"\r\n\r\n")
    answer = b""
    while b"\r\n\r\n" not in answer:
        piece = await loop.sock_recv(sock, 4096)
        answer += piece
        if not piece or len(answer) > _MAX_ANSWER:
            raise ConnectError("the proxy did not answer the CONNECT request")
    status = _STATUS.match(answer)
    if status is None or not answer.endswith(b"\r\n\r\n"):
        raise ConnectError("the proxy's answer to CONNECT is not HTTP/1.1")
    if not status[1].startswith(b"2"):
        raise ConnectError(f"the proxy refused the tunnel with status {int(status[1])}")
