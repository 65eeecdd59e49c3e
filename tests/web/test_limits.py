"""Limits of keys on real sockets: in one process, and over three replicas on one real Valkey."""

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest

from gateway.accounts.places import Places
from gateway.config import AuthSettings, KeyDigest, KeySettings
from gateway.dialects.base import Purpose
from gateway.dialects.native import NativeDialect
from gateway.dialects.openai.chat import OpenAIChatDialect
from gateway.generation.errors import UpstreamUnavailable
from gateway.state.open import open_store
from gateway.telemetry.observation import Observation
from gateway.web.auth import KeyRing
from gateway.web.client_watch import ClientWatch
from gateway.web.lean import LeanLimits, LeanPath
from gateway.web.limits import KeyLimits, Rates
from gateway.web.open_calls import OpenCalls
from gateway.web.routes import by_path
from tests.serving import serving
from tests.web.waiting import until

pytestmark = pytest.mark.anyio

CHAT = "/v1/chat/completions"


class Replica:
    """The lean routes of one process with a handler that ends when it is told to."""

    def __init__(self, keys: KeyRing, limits: KeyLimits) -> None:
        self.go = asyncio.Event()
        self.go.set()
        self.fault: Exception | None = None
        self.served = 0
        self.watch = ClientWatch()
        handlers = dict.fromkeys(Purpose, self.handle)
        self.paths = {
            path: LeanPath(methods, handlers, keys, LeanLimits(2**20, 2**20), limits, OpenCalls())
            for path, methods in by_path([NativeDialect(), OpenAIChatDialect()]).items()
        }

    async def __call__(self, scope, receive, send) -> None:
        scope["gateway.observed"] = Observation("r")
        await self.paths[scope["path"]].serve(scope, receive, send)

    async def handle(self, exchange) -> None:
        self.served += 1
        await self.watch.unless_gone(exchange.task, exchange.receive, self.go.wait())
        if self.fault is not None:
            raise self.fault
        await exchange.answer_body(b"{}")


class Client:
    """Calls one replica with one key."""

    def __init__(self, replica: Replica, url: str) -> None:
        self.replica = replica
        self.http = httpx.AsyncClient(base_url=url)

    async def post(self, key: str = "alice", path: str = CHAT) -> httpx.Response:
        return await self.http.post(path, json={}, headers={"authorization": f"Bearer sk-{key}"})

    async def get(self, key: str = "alice") -> httpx.Response:
        return await self.http.get("/api/tasks", headers={"authorization": f"Bearer sk-{key}"})


@asynccontextmanager
async def replicas(count: int = 1, url: str = "memory://", **limits: int):
    """Serve replicas where alice is limited; bob has the same limits, carol none."""
    keys = [KeySettings(name=name, key=KeyDigest(f"sk-{name}"), **limits) for name in ("alice", "bob")]
    settings = AuthSettings(keys=(*keys, KeySettings(name="carol", key=KeyDigest("sk-carol"))))
    async with AsyncExitStack() as stack:
        clients = []
        for _ in range(count):
            store, leases = await open_store(url)
            stack.push_async_callback(store.aclose)
            places = Places(leases) if url.startswith("valkey") else None
            if places:
                await stack.enter_async_context(places.running())
            rates = Rates(url)
            stack.push_async_callback(rates.aclose)
            replica = Replica(KeyRing(settings), KeyLimits(rates, places))
            client = Client(replica, await stack.enter_async_context(serving(replica)))
            await stack.enter_async_context(client.http)
            clients.append(client)
        yield clients


def told(answer: httpx.Response) -> tuple[str | None, ...]:
    names = ("limit", "remaining", "reset")
    return tuple(answer.headers.get(f"x-ratelimit-{name}-requests") for name in names)


async def test_a_minute_is_full_after_rpm_calls_and_every_answer_says_so() -> None:
    async with replicas(rpm=3) as [one]:
        answers = [await one.post() for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert [told(answer) for answer in answers] == [
            ("3", "2", "1m0s"),
            ("3", "1", "1m0s"),
            ("3", "0", "1m0s"),
            ("3", "0", None),
        ]
        assert 55 <= int(answers[3].headers["retry-after"]) <= 60
        assert answers[3].json()["error"]["code"] == "rate_limit_exceeded"
        assert one.replica.served == 3


async def test_a_refusal_has_the_shape_of_the_api_that_was_called() -> None:
    async with replicas(rpm=1) as [one]:
        await one.post(path="/api/chat")
        refused = await one.post(path="/api/chat")
        assert (refused.status_code, refused.json()["error"]) == (429, "RateLimited")
        assert refused.json()["code"] == "rate_limited"


async def test_reading_is_not_counted_and_other_keys_are_not_touched() -> None:
    async with replicas(rpm=1) as [one]:
        await one.post()
        assert (await one.post()).status_code == 429
        assert (await one.get()).status_code == 200
        assert (await one.post("bob")).status_code == 200
        free = await one.post("carol")
        assert (free.status_code, told(free)) == (200, (None, None, None))


async def test_the_window_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    async with replicas(rpm=1) as [one]:
        assert (await one.post()).status_code == 200
        now = time.time
        monkeypatch.setattr("time.time", lambda: now() + 59)
        refused = await one.post()
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        monkeypatch.setattr("time.time", lambda: now() + 61)
        assert (await one.post()).status_code == 200


async def test_a_failed_call_counts_and_says_where_the_key_stands() -> None:
    async with replicas(rpm=2, concurrency=1) as [one]:
        one.replica.fault = UpstreamUnavailable("down")
        answer = await one.post()
        assert (answer.status_code, told(answer)) == (502, ("2", "1", "1m0s"))
        one.replica.fault = RuntimeError("sk-secret")
        broken = await one.post()
        assert broken.status_code == 500
        assert "sk-secret" not in broken.text
        assert (await one.post()).status_code == 429


@pytest.mark.parametrize("shared", [False, True])
async def test_calls_at_the_same_time_are_bounded_over_all_replicas(shared: bool, request) -> None:
    url = request.getfixturevalue("valkey").url if shared else "memory://"
    async with replicas(3 if shared else 1, url, concurrency=4) as clients:
        for client in clients:
            client.replica.go.clear()
        calls = [asyncio.create_task(clients[n % len(clients)].post()) for n in range(12)]
        await until(lambda: sum(call.done() for call in calls) == 8)
        refused = [call.result() for call in calls if call.done()]
        assert {(answer.status_code, answer.headers["retry-after"]) for answer in refused} == {(429, "1")}
        assert sum(client.replica.served for client in clients) == 4
        other = asyncio.create_task(clients[0].post("bob"))
        await until(lambda: sum(client.replica.served for client in clients) == 5)
        for client in clients:
            client.replica.go.set()
        assert (await other).status_code == 200
        answers = await asyncio.gather(*calls)
        assert Counter(answer.status_code for answer in answers) == {200: 4, 429: 8}
        await asyncio.sleep(0.05)
        again = await asyncio.gather(*(clients[n % len(clients)].post() for n in range(4)))
        assert [answer.status_code for answer in again] == [200] * 4


@pytest.mark.parametrize("shared", [False, True])
async def test_clients_that_leave_give_their_places_back(shared: bool, request) -> None:
    url = request.getfixturevalue("valkey").url if shared else "memory://"
    async with replicas(1, url, concurrency=2) as [one]:
        one.replica.go.clear()
        calls = [asyncio.create_task(one.post()) for _ in range(2)]
        await until(lambda: one.replica.served == 2)
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
        async with asyncio.timeout(1):
            while one.replica.served < 4:
                others = [asyncio.create_task(one.post()) for _ in range(2)]
                await asyncio.wait(others, timeout=0.1)
        one.replica.go.set()
        answers = await asyncio.gather(*others)
        assert [answer.status_code for answer in answers] == [200] * 2


async def test_replicas_share_the_minute(valkey) -> None:
    async with replicas(3, valkey.url, rpm=5) as clients:
        answers = await asyncio.gather(*(clients[n % 3].post() for n in range(15)))
        assert Counter(answer.status_code for answer in answers) == {200: 5, 429: 10}
        assert {told(answer)[1] for answer in answers if answer.status_code == 429} == {"0"}


async def test_a_frozen_store_stops_nobody_and_each_replica_counts_for_itself(valkey) -> None:
    async with replicas(2, valkey.url, rpm=2, concurrency=1) as clients:
        valkey.freeze()
        try:
            async with asyncio.timeout(8):
                for client in clients:
                    statuses = [(await client.post()).status_code for _ in range(3)]
                    assert statuses == [200, 200, 429]
                    began = time.monotonic()
                    assert (await client.post()).status_code == 429
                    assert time.monotonic() - began < 0.2, "a store that is away is left alone"
                [one, _] = clients
                one.replica.go.clear()
                first = asyncio.create_task(one.post("bob"))
                await until(lambda: one.replica.served == 3)
                assert (await one.post("bob")).status_code == 429
                one.replica.go.set()
                assert (await first).status_code == 200
        finally:
            valkey.thaw()


async def test_the_shared_count_is_used_again_once_the_store_is_back(valkey) -> None:
    async with replicas(2, valkey.url, rpm=1) as [one, two]:
        valkey.freeze()
        try:
            assert (await one.post()).status_code == 200
        finally:
            valkey.thaw()
        async with asyncio.timeout(8):
            while (await two.post()).status_code != 429:
                pass
            while (await one.post("bob")).status_code != 429:
                pass
        assert (await two.post("bob")).status_code == 429
