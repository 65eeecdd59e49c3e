"""A sandbox on a socket, and a small client that speaks its wire."""

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from gateway_sandbox import SandboxServer, SandboxSettings

QUICK = {"first_token_seconds": 0.0, "tokens_per_second": 0.0, "image_seconds": 0.0, "video_seconds": 0.2}


class Site:
    """One account at one sandbox."""

    def __init__(self, base: str, http: httpx.AsyncClient, token: str) -> None:
        self.base, self.http, self.token = base, http, token
        self.headers = {"authorization": f"Bearer {token}"}

    async def get(self, path: str, **more: Any) -> httpx.Response:
        return await self.http.get(self.base + path, headers=self.headers, **more)

    async def post(self, path: str, body: Any) -> httpx.Response:
        return await self.http.post(self.base + path, headers=self.headers, json=body)

    async def new_chat(self, **more: Any) -> str:
        body = {
            "title": "New Chat",
            "models": ["qwen3-max"],
            "chat_mode": "normal",
            "chat_type": "t2t",
            **more,
        }
        return (await self.post("/api/v2/chats/new", body)).json()["data"]["id"]

    def body(
        self, chat: str, text: str, *, kind: str = "t2t", parent: str | None = None, **more: Any
    ) -> dict:
        config = {"thinking_enabled": False, "output_schema": "phase", **more.pop("config", {})}
        message = {
            "fid": str(uuid.uuid4()),
            "role": "user",
            "content": text,
            "chat_type": kind,
            "sub_chat_type": kind,
            "files": more.pop("files", []),
            "feature_config": config,
            "parent_id": parent,
        }
        head = {"stream": kind not in ("t2v", "i2v"), "incremental_output": True, "chat_id": chat}
        return {
            **head,
            "model": "qwen3-max",
            "parent_id": parent,
            "messages": [message],
            "timestamp": 1,
            **more,
        }

    async def ask(self, chat: str, text: str, **more: Any) -> httpx.Response:
        return await self.post(f"/api/v2/chat/completions?chat_id={chat}", self.body(chat, text, **more))

    async def say(self, text: str, **more: Any) -> str:
        """The visible text of an answer in a chat of its own."""
        return visible(frames(await self.ask(await self.new_chat(), text, **more)))

    async def fault(self, kind: str, **more: Any) -> None:
        reply = await self.post("/__sandbox__/faults", {"kind": kind, **more})
        assert isinstance(reply.json(), list), reply.text


def frames(reply: httpx.Response) -> list[dict[str, Any]]:
    """The payloads of a whole stream."""
    assert reply.headers["content-type"].startswith("text/event-stream"), reply.text
    return [json.loads(part.removeprefix("data: ")) for part in reply.text.split("\n\n") if part]


def deltas(payloads: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [choice["delta"] for payload in payloads for choice in payload.get("choices", [])]


def visible(payloads: list[dict[str, Any]]) -> str:
    return "".join(delta["content"] for delta in deltas(payloads) if delta.get("phase", "answer") == "answer")


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[tuple[str, httpx.AsyncClient]]:
    server = SandboxServer(SandboxSettings(**{**QUICK, **settings}))
    base = await server.start()
    try:
        async with httpx.AsyncClient(timeout=20, verify=False) as http:
            yield base, http
    finally:
        await server.aclose()


@pytest.fixture
def serve():
    """Start a sandbox with settings of one's own; yields a factory of accounts."""

    @asynccontextmanager
    async def start(**settings: Any) -> AsyncIterator[Any]:
        async with running(**settings) as (base, http):
            yield lambda token="alice": Site(base, http, token)

    return start


@pytest.fixture
async def sites(serve):
    async with serve() as make:
        yield make


@pytest.fixture
async def site(sites):
    return sites("alice")


@pytest.fixture
def read():
    """Functions that take a stream apart: `read.frames`, `read.deltas`, `read.visible`."""
    return type("Read", (), {name: staticmethod(globals()[name]) for name in ("frames", "deltas", "visible")})


@pytest.fixture
def account():
    """The class of accounts, for a sandbox that a test started by itself."""
    return Site
