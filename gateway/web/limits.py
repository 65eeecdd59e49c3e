"""What one client key may ask for: requests per minute, and calls at the same time.

Only calls that make something (POST) count: a client that polls its video is not locked out by its polls.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from limits.errors import StorageError
from litestar.types import Message, Send

from gateway.accounts.places import Places
from gateway.generation.errors import GatewayError, KeyLimited
from gateway.state.breaker import Breaker
from gateway.state.store import Slot
from gateway.web.answers import Headers
from gateway.web.auth import ClientKey
from gateway.web.errors import send_error
from gateway.web.exchange import Exchange, Handler

__all__ = ["KeyLimits", "Rates"]

_ANSWER_SECONDS: Final = 0.25
_CONNECTIONS: Final = 32
_SOON: Final = 1.0
"""What a caller is told to wait for one of its own calls to end: nobody knows when that is."""


class _Rate(msgspec.Struct, frozen=True):
    """Where a key stands after a call: counted or refused, how many are left, seconds until one more."""

    counted: bool
    left: int
    pause: float


class Rates:
    """Requests per key in a moving minute, one count for all replicas where they share a Valkey.

    While that is away each replica counts for itself: every one of them may then let a full minute through,
    but no more, and nobody is refused or kept waiting for a fault of ours.
    """

    def __init__(self, state_url: str = "") -> None:
        """Count in the Valkey of a `valkey://` or `valkeys://` URL, else in this process."""
        self._own = MovingWindowRateLimiter(MemoryStorage())
        self._storage = _shared_storage(state_url) if state_url.startswith("valkey") else None
        self._shared = MovingWindowRateLimiter(self._storage) if self._storage else None
        self._lanes = asyncio.Semaphore(_CONNECTIONS)
        self._breaker = Breaker()

    async def count(self, name: str, rpm: int) -> _Rate:
        """Count a call of the key, unless its minute is full."""
        limit = RateLimitItemPerMinute(rpm, namespace="gateway:rpm")
        if self._shared is not None and self._breaker.allow():
            try:
                async with asyncio.timeout(_ANSWER_SECONDS), self._lanes:
                    rate = await _count(self._shared, limit, name)
            except (StorageError, OSError, TimeoutError):
                self._breaker.failed()
            else:
                self._breaker.succeeded()
                return rate
        return await _count(self._own, limit, name)

    async def aclose(self) -> None:
        """Close the connections."""
        if self._storage is not None:
            await self._storage.bridge.storage.aclose()  # type: ignore[attr-defined]


class KeyLimits:
    """Holds keys to their limits. `places` counts calls over all replicas, None in this process only."""

    def __init__(self, rates: Rates, places: Places | None = None) -> None:
        self._rates = rates
        self._places = places
        self._under_way: Counter[str] = Counter()

    async def serve(self, handler: Handler, exchange: Exchange) -> None:
        """Serve one call of a limited key, or answer 429 at once. Every answer says where the key stands."""
        key = exchange.key
        headers: list[tuple[bytes, bytes]] = []
        limited = msgspec.structs.replace(exchange, send=_with_headers(exchange.send, headers))
        try:
            async with self._place(key):
                if key.rpm is not None:
                    await self._count(key.name, key.rpm, headers)
                await handler(limited)
        except GatewayError as error:
            await send_error(limited.send, error, exchange.dialect, exchange.observed)

    async def _count(self, name: str, rpm: int, headers: list[tuple[bytes, bytes]]) -> None:
        rate = await self._rates.count(name, rpm)
        headers += _rate_headers(rpm, rate)
        if not rate.counted:
            raise KeyLimited(f"this key may make {rpm} requests a minute", retry_after=rate.pause)

    @asynccontextmanager
    async def _place(self, key: ClientKey) -> AsyncIterator[None]:
        """Hold one of the key's places. Raises `KeyLimited` when all are taken.

        Counting here first bounds what a replica lets through while the shared count is away.
        """
        if key.concurrency is None:
            yield
            return
        if self._under_way[key.name] >= key.concurrency:
            raise _too_many(key.concurrency)
        self._under_way[key.name] += 1
        tokens: tuple[str, ...] | None = ()
        try:
            if self._places is not None:
                tokens = await self._places.hold([Slot(f"key:{key.name}", key.concurrency)])
            if tokens is None:
                raise _too_many(key.concurrency)
            yield
        finally:
            self._under_way[key.name] -= 1
            if self._places is not None:
                self._places.give_back(tokens or ())


def _shared_storage(state_url: str) -> RedisStorage:
    """Return the library's storage over the state's server; our own time limit is around every call.

    With a time limit of its own, redis-py can lose a cancellation.
    """
    return RedisStorage(
        "async+redis" + state_url.removeprefix("valkey"),
        wrap_exceptions=True,
        implementation="redispy",
        key_prefix="gateway",
        socket_timeout=None,  # type: ignore[arg-type]
        socket_connect_timeout=_ANSWER_SECONDS,
        protocol=2,
    )


async def _count(limiter: MovingWindowRateLimiter, limit: RateLimitItemPerMinute, name: str) -> _Rate:
    counted = await limiter.hit(limit, name)
    window = await limiter.get_window_stats(limit, name)
    return _Rate(counted, max(window.remaining, 0), max(window.reset_time - time.time(), 0.0))


def _rate_headers(rpm: int, rate: _Rate) -> Headers:
    """Say the limit in OpenAI's headers. Reset is when the limit is whole again: a minute after this call.

    A refused call does not count, and when the last one that did was made is not known here.
    """
    told = [
        (b"x-ratelimit-limit-requests", b"%d" % rpm),
        (b"x-ratelimit-remaining-requests", b"%d" % rate.left),
    ]
    return [*told, (b"x-ratelimit-reset-requests", b"1m0s")] if rate.counted else told


def _with_headers(send: Send, headers: Headers) -> Send:
    """Return a send that adds headers to the answer, those that are known by then."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *headers]
        await send(message)

    return send_with_headers


def _too_many(concurrency: int) -> KeyLimited:
    return KeyLimited(f"this key may have {concurrency} calls under way", retry_after=_SOON)
