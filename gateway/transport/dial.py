"""TCP connections: the first address that answers."""

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from itertools import zip_longest

__all__ = ["dial", "is_public"]

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # an IPv4 address behind RFC 6052's translators
_HEAD_START = 0.25  # seconds between two attempts, RFC 8305's recommendation

Address = tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]


async def dial(host: str, port: int, allowed: Callable[[str], bool] | None = None) -> socket.socket:
    """Return a connected, non-blocking socket.

    The addresses of both families take turns, each with a short head start over the next; those that
    ``allowed`` refuses are left out. Raises ``OSError``; a cancelled call leaves no socket open.
    """
    addresses = await _resolve(host, port)
    if allowed is not None:
        addresses = [entry for entry in addresses if allowed(str(entry[1][0]))]
        if not addresses:
            raise OSError("the host has no address that may be connected to")
    if len(addresses) == 1:
        return await _connect(addresses[0])
    return await _race(addresses)


def is_public(address: str) -> bool:
    """Return whether the Internet routes an address, also when it wraps another one."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv4Address):
        return ip.is_global and not ip.is_multicast
    wrapped = ip.ipv4_mapped or ip.sixtofour or (ip.teredo and ip.teredo[1])
    if ip in _NAT64:
        wrapped = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.is_global and not ip.is_multicast if wrapped is None else is_public(str(wrapped))


async def _resolve(host: str, port: int) -> list[Address]:
    if host == "localhost":  # both loopbacks by definition (RFC 6761), whatever the resolver says
        return [(socket.AF_INET6, ("::1", port)), (socket.AF_INET, ("127.0.0.1", port))]
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [(family, address) for family, _, _, _, address in found]
    first = [entry for entry in addresses if entry[0] == addresses[0][0]]
    others = [entry for entry in addresses if entry[0] != addresses[0][0]]
    return [entry for pair in zip_longest(first, others) for entry in pair if entry is not None]


async def _connect(address: Address) -> socket.socket:
    family, sockaddr = address
    # asyncio switches delayed sending off only for sockets that name their protocol.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, sockaddr)
    except BaseException:
        sock.close()
        raise
    return sock


async def _race(addresses: list[Address]) -> socket.socket:
    attempts: set[asyncio.Task[socket.socket]] = set()
    errors: list[OSError] = []
    waiting = iter(addresses)
    address = next(waiting, None)
    try:
        while attempts or address is not None:
            if address is not None:
                attempts.add(asyncio.create_task(_connect(address)))
                address = next(waiting, None)
            winner = await _first(attempts, errors, patience=None if address is None else _HEAD_START)
            if winner is not None:
                return winner
    finally:
        for attempt in attempts:
            attempt.cancel()
            attempt.add_done_callback(_discard)
    raise errors[0]


async def _first(
    attempts: set[asyncio.Task[socket.socket]], errors: list[OSError], patience: float | None
) -> socket.socket | None:
    """Wait for an attempt to end; move those that ended out of ``attempts``."""
    done, _ = await asyncio.wait(attempts, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
    for attempt in done:
        error = attempt.exception()
        if error is None:
            attempts.discard(attempt)
            return attempt.result()
        attempts.discard(attempt)
        if not isinstance(error, OSError):
            raise error
        errors.append(error)
    return None


def _discard(attempt: asyncio.Task[socket.socket]) -> None:
    """Close the socket of an attempt that came too late."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()
