"""Deletions that nobody waits for, until shutdown."""

import asyncio

import pytest

import gateway_qwen_chat.janitor
from gateway.plugin_api.testing import reply, serve
from gateway_qwen_chat.client import Client
from gateway_qwen_chat.janitor import Janitor
from gateway_qwen_chat.settings import QwenChatSettings

pytestmark = pytest.mark.anyio


async def test_shutdown_waits_for_what_is_under_way(transport, account):
    async with serve(lambda _: reply(200, b'{"success":true}')) as wire:
        janitor = Janitor(Client(QwenChatSettings(base_url=wire.url), transport))
        janitor.dispose(["chat-1", "chat-2"], account)
        await janitor.aclose()
        deleted = {(request.method, request.path) for request in wire.requests}
    assert deleted == {("DELETE", "/api/v2/chats/chat-1"), ("DELETE", "/api/v2/chats/chat-2")}


async def test_shutdown_does_not_wait_for_ever(transport, account, monkeypatch):
    monkeypatch.setattr(gateway_qwen_chat.janitor, "_PATIENCE", 0.05)
    async with serve(lambda _: None) as wire:
        janitor = Janitor(Client(QwenChatSettings(base_url=wire.url), transport))
        janitor.dispose(["chat-1"], account)
        async with asyncio.timeout(2):
            await janitor.aclose()
        await janitor.aclose()


async def test_a_chat_that_cannot_be_deleted_is_said_in_the_log_only(transport, account, caplog):
    async with serve(lambda _: reply(500, b"")) as wire:
        janitor = Janitor(Client(QwenChatSettings(base_url=wire.url), transport))
        janitor.dispose(["chat-1"], account)
        await janitor.aclose()
    assert "could not be deleted: upstream_error" in caplog.text
    assert "chat-1" not in caplog.text
