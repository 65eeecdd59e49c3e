"""Operators' routes for keys, on a real gateway."""

import httpx
import pytest

from tests.serving import serving_gateway, settings_in

pytestmark = pytest.mark.anyio

KEYS = """
[[auth.keys]]
name = "boss"
key = "sk-boss"
admin = true

[[auth.keys]]
name = "alice"
key = "sk-alice"
rpm = 60
"""
ALICE, BOSS = ({"authorization": f"Bearer sk-{name}"} for name in ("alice", "boss"))


async def test_an_operator_takes_a_key_back_and_gives_it_back(tmp_path) -> None:
    async with (
        serving_gateway(settings_in(tmp_path, KEYS)) as served,
        httpx.AsyncClient(base_url=served.url) as client,
    ):

        async def status() -> int:
            return (await client.get("/v1/models", headers=ALICE)).status_code

        async def ask(act: str, name: str = "alice") -> httpx.Response:
            return await client.post(f"/api/admin/keys/{act}", json={"name": name}, headers=BOSS)

        assert await status() == 200
        assert (await ask("revoke")).json() == {"name": "alice"}
        assert await status() == 401
        listed = (await client.get("/api/admin/keys", headers=BOSS)).json()
        assert [(row["key"]["name"], row["key"]["rpm"], row["revoked"]) for row in listed] == [
            ("boss", None, False),
            ("alice", 60, True),
        ]
        assert (await ask("restore")).status_code == 200
        assert await status() == 200
        assert (await ask("revoke", "nobody")).status_code == 404


@pytest.mark.parametrize(("headers", "status"), [(ALICE, 403), ({}, 401)])
async def test_nobody_else_may(tmp_path, headers: dict[str, str], status: int) -> None:
    async with (
        serving_gateway(settings_in(tmp_path, KEYS)) as served,
        httpx.AsyncClient(base_url=served.url, headers=headers) as client,
    ):
        assert (await client.get("/api/admin/keys")).status_code == status
        for act in ("revoke", "restore"):
            refused = await client.post(f"/api/admin/keys/{act}", json={"name": "boss"})
            assert refused.status_code == status
        assert (await client.get("/v1/models", headers=BOSS)).status_code == 200
