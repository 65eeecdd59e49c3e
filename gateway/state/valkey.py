"""Records and leases in Valkey: for several replicas of the gateway.

The server's clock is the only clock, and every decision is one Lua script. No write is repeated: after
a time-out it may have been made, and the caller reads again.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import NoScriptError, ReadOnlyError, RedisError
from redis.exceptions import TimeoutError as LateAnswer

from gateway.state import valkey_scripts as scripts
from gateway.state.breaker import Breaker
from gateway.state.hints import Hints
from gateway.state.store import Claim, Conflict, Held, Record, Slot, StoreUnavailable, Turn
from gateway.state.valkey_scripts import Script

__all__ = ["ValkeyLeases", "ValkeyServer", "ValkeyStore"]

_ANSWER_SECONDS = 0.25
_REPLICA_SECONDS = 2.0
_TICK_SECONDS = 2.0
_RECONNECT_SECONDS = 0.1
_CONNECTIONS = 32

_HINTS = "gateway:{*}:hints"
_LEASES = "gateway:{leases}"


class ValkeyServer:
    """One server, asked within time limits, left alone for a moment when it does not answer.

    A durable write needs `appendonly yes` and `appendfsync always`, and a replica that has it on disk
    too, once one has been seen: losing the only replica stops durable writes, not the rest.
    """

    def __init__(self, url: str) -> None:
        """Take a `valkey://` or `valkeys://` URL; nothing is connected yet."""
        # redis-py annotates its commands for two kinds of client at once: the true types are unknown.
        self._client: Any = Redis.from_url(
            "redis" + url.removeprefix("valkey"),
            socket_timeout=None,  # ours is outside: with one of its own, redis-py can lose a cancellation
            socket_connect_timeout=_ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            driver_info=None,
        )
        address = self._client.connection_pool.connection_kwargs
        self._name = f"valkey {address.get('host', 'localhost')}:{address.get('port', 6379)}"
        self._lanes = asyncio.Semaphore(_CONNECTIONS)
        self._breaker = Breaker()
        self._replicas = 0

    async def run(self, script: Script, prefix: str, *args: Any) -> Any:
        """Run a script and return its answer; raises `StoreUnavailable`."""
        async with self._asking(_ANSWER_SECONDS):
            try:
                return await self._client.execute_command("EVALSHA", script.sha, 1, prefix, *args)
            except NoScriptError:  # nothing has run; the server has restarted
                return await self._client.execute_command("EVAL", script.source, 1, prefix, *args)

    async def run_durable(self, script: Script, prefix: str, *args: Any) -> Any:
        """Run a script, and see on the same connection that its writes are on disk."""
        async with self._asking(_ANSWER_SECONDS + _REPLICA_SECONDS):
            answer, *proof = await self._run_with_proof("EVALSHA", script.sha, 1, prefix, *args)
            if isinstance(answer, NoScriptError):
                answer, *proof = await self._run_with_proof("EVAL", script.source, 1, prefix, *args)
            for reply in (answer, *proof):
                if isinstance(reply, Exception):
                    raise reply
            self._require_sync(proof[0])
            self._require_copies(*proof[1])
            return answer

    async def check_durable(self) -> None:
        """Raise `StoreUnavailable` unless this is a master that syncs each write, and copies it if it did."""
        async with self._asking(_ANSWER_SECONDS):
            pipe = self._client.pipeline(transaction=False)
            policy, replication = await pipe.config_get("append*").info("replication").execute()
            self._require_sync(policy)
            if replication["role"] != "master":
                raise StoreUnavailable(f"{self._name} is a replica")
            self._require_copies(1, self._count_replicas(replication))

    async def now(self) -> float:
        """Return the server's clock."""
        async with self._asking(_ANSWER_SECONDS):
            whole, micro = await self._client.time()
            return float(whole + micro / 1_000_000)

    async def relay(self, hints: Hints) -> None:
        """Pass hints on from every replica, for ever; whatever may have been missed is a refresh."""
        while True:
            with suppress(RedisError, OSError, TimeoutError):
                async with self._client.pubsub() as channel:
                    async with asyncio.timeout(_ANSWER_SECONDS):
                        await channel.psubscribe(_HINTS)
                    await _relay(channel, hints)
            hints.refresh()
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    @asynccontextmanager
    async def _asking(self, limit: float) -> AsyncIterator[None]:
        async with self._lanes:
            if not self._breaker.allow():
                raise StoreUnavailable(f"{self._name} does not answer")
            try:
                async with asyncio.timeout(limit):
                    yield
            except (LostConnection, LateAnswer, OSError, TimeoutError) as error:
                self._breaker.failed()
                reason = str(error) or f"nothing came within {limit:g} s"
                raise StoreUnavailable(f"{self._name} does not answer: {reason}") from error
            except ReadOnlyError as error:  # a replica now: the next connection may find the master
                await self._client.connection_pool.disconnect(inuse_connections=False)
                raise StoreUnavailable(f"{self._name} is a replica") from error
            except RedisError as error:
                raise StoreUnavailable(f"{self._name} refuses: {error}") from error
            self._breaker.succeeded()

    async def _run_with_proof(self, *command: Any) -> list[Any]:
        pipe = self._client.pipeline(transaction=False)
        pipe.execute_command(*command)
        pipe.config_get("append*")
        pipe.waitaof(1, self._replicas, int(_REPLICA_SECONDS * 1000))
        replies: list[Any] = await pipe.execute(raise_on_error=False)
        return replies

    def _require_sync(self, policy: dict[str, str]) -> None:
        if (policy.get("appendonly"), policy.get("appendfsync")) != ("yes", "always"):
            raise StoreUnavailable(f"{self._name} needs appendonly yes and appendfsync always")

    def _require_copies(self, synced: int, replicas: int) -> None:
        if synced < 1 or replicas < self._replicas:
            raise StoreUnavailable(f"{self._name} has no replica that keeps the write")

    def _count_replicas(self, replication: dict[str, Any]) -> int:
        """Return how many replicas are in step, and from now on require one if there is any."""
        count: int = sum(
            isinstance(replica, dict) and replica.get("state") == "online" for replica in replication.values()
        )
        self._replicas = max(self._replicas, min(count, 1))
        return count


async def _relay(channel: PubSub, hints: Hints) -> None:
    """Pass messages on, with a refresh and a ping every tick; an unanswered ping ends the channel."""
    clock = asyncio.get_running_loop().time
    heard = clock()
    tick = heard + _TICK_SECONDS
    while True:
        message = await channel.get_message(timeout=max(tick - clock(), 0.0))
        now = clock()
        if message is not None:
            heard = now
            _publish(message, hints)
        if now >= tick:
            if now - heard > 2 * _TICK_SECONDS:
                raise TimeoutError("the channel is silent")
            hints.refresh()
            await channel.ping()
            tick = now + _TICK_SECONDS


def _publish(message: dict[str, Any], hints: Hints) -> None:
    if message["type"] == "psubscribe":
        hints.refresh()
    elif message["type"] == "pmessage":
        table = message["channel"].decode().partition("{")[2].partition("}")[0]
        hints.publish(table, message["data"].decode())


class ValkeyStore:
    """The `StateStore` over a server that replicas share."""

    def __init__(self, server: ValkeyServer) -> None:
        """Needs a running loop: hints are listened for from now on."""
        self._server = server
        self._hints = Hints()
        self._listener = asyncio.create_task(server.relay(self._hints))

    async def get(self, table: str, key: str) -> Record | None:
        row = await self._server.run(scripts.GET, _prefix(table), key)
        return _record(row) if row else None

    async def put(
        self, table: str, record: Record, *, durable: bool = False, fence: int | None = None
    ) -> Record:
        run = self._server.run_durable if durable else self._server.run
        version = await run(scripts.PUT, _prefix(table), *_row(record), "" if fence is None else fence)
        if version == 0:
            raise Conflict(f"{table}/{record.key} is not at version {record.version}")
        if version < 0:
            raise Conflict(f"{table}/{record.key} is no longer held by this claim")
        return msgspec.structs.replace(record, version=version)

    async def delete(self, table: str, key: str) -> bool:
        return bool(await self._server.run(scripts.DELETE, _prefix(table), key))

    async def list(
        self, table: str, owner: str, *, after: str | None = None, limit: int = 20, newest_first: bool = True
    ) -> Sequence[Record]:
        behind = () if after is None else (after,)
        rows = await self._server.run(scripts.LIST, _prefix(table), owner, limit, int(newest_first), *behind)
        return [_record(row) for row in rows]

    async def scan(self, table: str) -> Sequence[Record]:
        return [_record(row) for row in await self._server.run(scripts.SCAN, _prefix(table))]

    async def claim_due(self, table: str, *, limit: int, lease_seconds: float) -> Sequence[Claim]:
        fence, until, rows = await self._server.run(scripts.CLAIM_DUE, _prefix(table), limit, lease_seconds)
        return [Claim(_record(row), int(fence), float(until)) for row in rows]

    async def release(self, table: str, key: str, fence: int, *, due: float) -> None:
        await self._server.run(scripts.RELEASE, _prefix(table), key, fence, due)

    async def now(self) -> float:
        return await self._server.now()

    async def check_durable(self) -> None:
        await self._server.check_durable()

    def watch(self, table: str) -> AsyncGenerator[str, None]:
        return self._hints.watch(table)

    async def aclose(self) -> None:
        self._listener.cancel()
        await asyncio.wait([self._listener])
        await self._server.aclose()


class ValkeyLeases:
    """The `LeaseStore` over a server that replicas share; places in doubt come back by time."""

    def __init__(self, server: ValkeyServer) -> None:
        self._server = server

    async def acquire(self, slots: Sequence[Slot], *, ttl: float) -> Held | None:
        token = secrets.token_hex(8)
        choices = [word for slot in slots for word in (slot.key, slot.cap)]
        return _held(token, await self._server.run(scripts.LEASE_ACQUIRE, _LEASES, ttl, token, *choices))

    async def renew(self, held: Held, *, ttl: float) -> Held | None:
        answer = await self._server.run(scripts.LEASE_RENEW, _LEASES, ttl, held.token, held.slot)
        return _held(held.token, answer)

    async def release(self, held: Held) -> None:
        await self._server.run(scripts.LEASE_RELEASE, _LEASES, held.token, held.slot)

    async def take_turn(self, queue: str, *, gap: float, patience: float) -> Turn:
        wait, back = await self._server.run(scripts.TURN_TAKE, _LEASES, queue, gap, patience)
        return Turn(float(wait) if wait else None, float(back))


def _prefix(table: str) -> str:
    return f"gateway:{{{table}}}"


def _row(record: Record) -> tuple[Any, ...]:
    return (
        record.key,
        record.value,
        record.version,
        record.owner,
        record.order,
        record.due,
        record.expires,
    )


def _record(row: Sequence[bytes]) -> Record:
    key, value, version, owner, order, due, expires = row
    return Record(
        key=key.decode(),
        value=value,
        version=int(version),
        owner=owner.decode(),
        order=float(order),
        due=float(due),
        expires=float(expires),
    )


def _held(token: str, answer: Sequence[bytes] | None) -> Held | None:
    if not answer:
        return None
    slot, until = answer
    return Held(slot.decode(), token, float(until))
