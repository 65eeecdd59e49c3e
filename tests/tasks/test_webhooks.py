"""Being told that a task is over: signed, at least once, never in the way."""

import asyncio
import base64
import hashlib
import hmac
import time
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
import pytest

from gateway.config import AuthSettings, ConfigError, KeyDigest, KeySettings
from gateway.plugin_api.protocols import TaskState
from gateway.state.store import Record
from gateway.tasks.webhooks import Endpoint, sign
from gateway.telemetry.redaction import Secret
from tests.tasks.scripted import ScriptedUpstream, opened, order, until

pytestmark = pytest.mark.anyio


class Receiver:
    """An HTTP server that notes each message and answers what the test tells it."""

    def __init__(self):
        self.heard = []
        self.answers = []

    @asynccontextmanager
    async def listening(self):
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
        async with server:
            yield self

    async def _serve(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lines = head.decode().split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
                raw = dict(line.split(": ", 1) for line in lines[1:] if line)
                body = await reader.readexactly(int(headers["content-length"]))
                self.heard.append(({name.lower(): value for name, value in raw.items()}, body))
                answer = self.answers.pop(0) if self.answers else b"204 No Content\r\n"
                writer.write(b"HTTP/1.1 " + answer + b"content-length: 0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


SECRET = "whsec_" + base64.b64encode(b"k" * 24).decode()


def told_at(url, secret=SECRET):
    key = KeySettings(name="alice", key=KeyDigest("sk"), webhook_url=url, webhook_secret=Secret(secret))
    return AuthSettings(keys=(key,))


@pytest.fixture
async def receiver():
    async with Receiver().listening() as receiver:
        yield receiver


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr("gateway.tasks.webhooks._PAUSES", (0.05,) * 4)
    monkeypatch.setattr("gateway.tasks.webhooks._LOOK_SECONDS", 0.02)
    monkeypatch.setattr("gateway.tasks.webhooks._NOT_YET_SECONDS", 0.05)


async def submit(engine, upstream, prompt="film", owner="alice"):
    return await engine.submit(order(prompt, owner=owner), upstream, AsyncExitStack())


async def ended(engine, task, owner="alice"):
    async def is_so():
        return (await engine.get(owner, task.id)).finished

    await until(is_so)


async def test_an_end_is_told_signed(store, leases, tmp_path, receiver, impatient):
    upstream = ScriptedUpstream()
    async with opened(store, leases, tmp_path, upstream, auth=told_at(receiver.url)) as engine:
        task = await submit(engine, upstream)
        await until(lambda: receiver.heard)
        headers, body = receiver.heard[0]
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        digest = hmac.digest(b"k" * 24, signed, hashlib.sha256)
        assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
        assert abs(int(headers["webhook-timestamp"]) - time.time()) < 5
        message = msgspec.json.decode(body)
        assert message["type"] == "task.completed"
        assert message["data"] == {"id": task.id, "status": "completed", "chat_type": "t2v"}
        assert (await engine.get("alice", task.id)).status == "completed"
        await until(lambda: _gone(store, task))


async def _gone(store, task):
    return await store.get("webhooks", task.id) is None


async def test_a_failure_is_told_too(store, leases, tmp_path, receiver, impatient):
    upstream = ScriptedUpstream()

    async def fail(upstream, task):
        return TaskState("failed", error_code="content_filter")

    upstream.on_poll = fail
    async with opened(store, leases, tmp_path, upstream, auth=told_at(receiver.url)) as engine:
        await submit(engine, upstream)
        await until(lambda: receiver.heard)
        assert msgspec.json.decode(receiver.heard[0][1])["type"] == "task.failed"


@pytest.mark.parametrize("refusal", [b"500 No\r\n", b"302 Found\r\nlocation: /elsewhere\r\n", b"429 No\r\n"])
async def test_a_refused_message_is_told_again_under_its_id(
    store, leases, tmp_path, receiver, impatient, refusal
):
    receiver.answers = [refusal, refusal]
    upstream = ScriptedUpstream()
    async with opened(store, leases, tmp_path, upstream, auth=told_at(receiver.url)) as engine:
        task = await submit(engine, upstream)
        await until(lambda: _gone(store, task) if len(receiver.heard) == 3 else None)
    assert len({headers["webhook-id"] for headers, _ in receiver.heard}) == 1


async def test_an_endpoint_that_is_gone_for_good_is_let_be(store, leases, tmp_path, receiver, impatient):
    receiver.answers = [b"410 Gone\r\n"]
    upstream = ScriptedUpstream()
    async with opened(store, leases, tmp_path, upstream, auth=told_at(receiver.url)) as engine:
        task = await submit(engine, upstream)
        await until(lambda: _gone(store, task) if receiver.heard else None)
        assert len(receiver.heard) == 1


async def test_an_endpoint_that_is_down_is_given_up_in_the_end(store, leases, tmp_path, impatient):
    upstream = ScriptedUpstream()
    async with opened(store, leases, tmp_path, upstream, auth=told_at("http://127.0.0.1:9/hook")) as engine:
        task = await submit(engine, upstream)
        await ended(engine, task)
        await until(lambda: _gone(store, task))


async def test_an_end_is_told_by_the_next_process_if_this_one_dies(
    store, leases, tmp_path, receiver, impatient, monkeypatch
):
    monkeypatch.setattr("gateway.tasks.webhooks._LEASE_SECONDS", 0.2)
    upstream = ScriptedUpstream()
    receiver.answers = [b"500 No\r\n"]
    async with opened(store, leases, tmp_path, upstream, auth=told_at(receiver.url)) as engine:
        await submit(engine, upstream)
        await until(lambda: receiver.heard)
    async with opened(store, leases, tmp_path, upstream, auth=told_at(receiver.url)):
        await until(lambda: len(receiver.heard) == 2)


async def test_an_end_that_was_announced_but_not_stored_is_not_told_yet(
    store, leases, tmp_path, receiver, impatient
):
    """What a process leaves that dies between the announcement and the end itself."""
    upstream = ScriptedUpstream(seconds=3600)
    async with opened(store, leases, tmp_path, upstream, auth=told_at(receiver.url)) as engine:
        task = await submit(engine, upstream)
        value = msgspec.json.encode({"task_id": task.id, "owner": "alice"})
        await store.put("webhooks", Record(key=task.id, value=value, due=time.time()))
        await asyncio.sleep(0.3)
        assert not receiver.heard
        upstream.accepted["provider-film"] = 0.0
        await until(lambda: _gone(store, task) if receiver.heard else None)
        assert len(receiver.heard) == 1


async def test_nobody_is_told_of_anothers_task(store, leases, tmp_path, receiver, impatient):
    upstream = ScriptedUpstream()
    async with opened(store, leases, tmp_path, upstream, auth=told_at(receiver.url)) as engine:
        await ended(engine, await submit(engine, upstream, owner="bob"), "bob")
        await asyncio.sleep(0.2)
    assert not receiver.heard


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("http://example.com/hook", "s"),
        ("ftp://localhost/hook", "s"),
        ("https:///hook", "s"),
        ("https://a.b/", ""),
    ],
)
async def test_what_cannot_be_told_a_secret_stops_the_start(store, leases, tmp_path, url, secret):
    room = opened(store, leases, tmp_path, ScriptedUpstream(), auth=told_at(url, secret))
    with pytest.raises(ConfigError, match="alice"):
        await room.__aenter__()


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://localhost:1/", True),
        ("http://127.0.0.2/", True),
        ("http://[::1]/", True),
        ("https://localhost.example/", False),
        ("https://10.0.0.1/", False),
    ],
)
def test_only_loopback_is_reached_without_the_guard(url, loopback):
    assert Endpoint(url, Secret("s")).is_loopback is loopback


def test_any_text_is_a_secret():
    digest = hmac.digest(b"plain", b"msg_1.5.{}", hashlib.sha256)
    assert sign(Secret("plain"), "msg_1", "5", b"{}") == "v1," + base64.b64encode(digest).decode()
