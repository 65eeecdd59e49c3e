"""Operators' routes for accounts, on a real gateway."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serving import serving_gateway, settings_in

pytestmark = pytest.mark.anyio

TOML = """
[upstreams.box]
kind = "sandbox"
first_token_seconds = 0.0
tokens_per_second = 0.0
accounts = [{ id = "team/ä", token = "token" }]
[upstreams.away]
kind = "openai_compatible"
base_url = "http://127.0.0.1:9/v1"
[[auth.keys]]
name = "boss"
key = "sk-boss"
admin = true
[[auth.keys]]
name = "alice"
key = "sk-alice"
"""
NAME = {"upstream": "box", "account": "team/ä"}
ALICE, BOSS = ({"authorization": f"Bearer sk-{name}"} for name in ("alice", "boss"))


async def act(client: httpx.AsyncClient, verb: str, body: Any = NAME, **headers: str) -> httpx.Response:
    return await client.post(f"/api/admin/accounts/{verb}", json=body, headers=headers or BOSS)


async def states(client: httpx.AsyncClient) -> set[str]:
    accounts = (await client.get("/api/status", headers=BOSS)).json()["accounts"]
    return {one["state"] for one in accounts if one["upstream"] == "box" and not one["chat_type"]}


async def test_an_account_is_disabled_over_a_restart_until_it_is_enabled(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, TOML)
    async with serving_gateway(settings) as served, httpx.AsyncClient(base_url=served.url) as client:
        assert (await act(client, "disable")).json() == NAME
        assert (await act(client, "disable")).status_code == 200
    async with serving_gateway(settings) as served, httpx.AsyncClient(base_url=served.url) as client:
        assert await states(client) == {"disabled"}
        assert (await act(client, "enable")).json() == NAME
    async with serving_gateway(settings) as served, httpx.AsyncClient(base_url=served.url) as client:
        assert await states(client) == {"ok"}


async def test_a_provider_is_asked_and_its_failure_is_an_answer(tmp_path: Path) -> None:
    async with (
        serving_gateway(settings_in(tmp_path, TOML)) as served,
        httpx.AsyncClient(base_url=served.url) as client,
    ):
        good = (await act(client, "test")).json()
        bad = (await act(client, "test", {"upstream": "away", "account": "default"})).json()
    assert good["models"] > 0
    assert good["error"] == ""
    assert bad["models"] == 0
    assert bad["error"]


@pytest.mark.parametrize("verb", ["disable", "enable", "test"])
async def test_only_operators_may_and_only_what_is_configured(tmp_path: Path, verb: str) -> None:
    async with (
        serving_gateway(settings_in(tmp_path, TOML)) as served,
        httpx.AsyncClient(base_url=served.url) as client,
    ):
        assert (await act(client, verb, NAME, **ALICE)).status_code == 403
        assert (await act(client, verb, NAME, authorization="Bearer sk-wrong")).status_code == 401
        for unknown in ({**NAME, "account": "x"}, {**NAME, "upstream": "x"}):
            assert (await act(client, verb, unknown)).status_code == 404
        for broken in ({}, [], {**NAME, "more": 1}, {"upstream": 1, "account": "x"}):
            assert (await act(client, verb, broken)).status_code == 400
        assert await states(client) == {"ok"}
