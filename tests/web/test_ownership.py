"""What one key makes, another key cannot see, use, list or end; it answers as if it had never existed."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.serving import serving_gateway, settings_in

pytestmark = pytest.mark.anyio

KEYS = """
[[auth.keys]]
name = "alice"
key = "sk-alice"

[[auth.keys]]
name = "bob"
key = "sk-bob"
admin = true
"""


@asynccontextmanager
async def two_clients(folder) -> AsyncGenerator[tuple[httpx.AsyncClient, httpx.AsyncClient], None]:
    """Serve the sandbox to alice and to bob, who is even an operator."""
    async with serving_gateway(settings_in(folder, KEYS)) as served:

        def client(name: str) -> httpx.AsyncClient:
            headers = {"authorization": f"Bearer sk-{name}"}
            return httpx.AsyncClient(base_url=served.url, headers=headers, timeout=30)

        async with client("alice") as alice, client("bob") as bob:
            yield alice, bob


def face(answer: httpx.Response, *ids: str) -> tuple[int, str]:
    """Return an answer without what differs by nature: the request's id, and the id that was asked for."""
    text = re.sub(r'"request_id":"[0-9a-f]+"', "", answer.text)
    for id_ in ids:
        text = text.replace(id_, "ID")
    return answer.status_code, text


async def check_hidden(bob: httpx.AsyncClient, method: str, path: str, id_: str, **body: object) -> None:
    """Assert that bob's answer about alice's object is the one about an object that never was."""
    never = re.sub(r"[0-9a-f]", "0", id_)
    foreign = await bob.request(method, path.format(id=id_), **body)
    unknown = await bob.request(method, path.format(id=never), **body)
    assert face(foreign, id_) == face(unknown, never)
    assert foreign.status_code == 404


async def test_tasks(tmp_path) -> None:
    async with two_clients(tmp_path) as (alice, bob):
        order = {"message": "waves", "chatType": "t2v", "waitForCompletion": False}
        id_ = (await alice.post("/api/chat", json=order)).json()["task_id"]
        for method, path in (
            ("GET", "/api/tasks/status/{id}"),
            ("DELETE", "/api/tasks/{id}"),
            ("GET", "/api/tasks/events/{id}"),
            ("GET", "/v1/videos/{id}"),
            ("GET", "/v1/videos/{id}/content"),
            ("DELETE", "/v1/videos/{id}"),
        ):
            await check_hidden(bob, method, path, id_)
        assert (await alice.get(f"/api/tasks/status/{id_}")).status_code == 200
        assert id_ in (await alice.get("/api/tasks")).text
        for path in ("/api/tasks", "/v1/videos"):
            assert id_ not in (await bob.get(path)).text
            assert id_ not in (await bob.get(path, params={"after": id_})).text


async def test_files(tmp_path) -> None:
    async with two_clients(tmp_path) as (alice, bob):
        upload = {"file": ("a.txt", b"secret", "text/plain")}
        id_ = (await alice.post("/api/files/upload", files=upload)).json()["id"]
        for method, path in (
            ("GET", "/v1/files/{id}"),
            ("GET", "/v1/files/{id}/content"),
            ("DELETE", "/v1/files/{id}"),
        ):
            await check_hidden(bob, method, path, id_)
        never = re.sub(r"[0-9a-f]", "0", id_)
        used = [await bob.post("/api/chat", json={"message": "read", "files": [i]}) for i in (id_, never)]
        assert face(used[0], id_) == face(used[1], never)
        assert used[0].status_code == 404
        assert id_ not in (await bob.get("/v1/files")).text
        assert (await alice.get(f"/v1/files/{id_}/content")).content == b"secret"


async def test_chats(tmp_path) -> None:
    async with two_clients(tmp_path) as (alice, bob):
        first = (await alice.post("/api/chat", json={"message": "My name is Alice."})).json()
        turn = {"chatId": first["chatId"], "parentId": first["parentId"]}
        never = {name: re.sub(r"[0-9a-f]", "0", value) for name, value in turn.items()}
        answers = [await bob.post("/api/chat", json={"message": "Who am I?", **t}) for t in (turn, never)]
        assert face(answers[0], *turn.values()) == face(answers[1], *never.values())
        assert answers[0].status_code == 404
        assert (await alice.post("/api/chat", json={"message": "Who am I?", **turn})).status_code == 200
        made = (await alice.post("/api/chats", json={"name": "n"})).json()["chatId"]
        assert (await bob.post("/api/chat", json={"message": "Hi", "chatId": made})).status_code == 404


async def test_idempotency_keys(tmp_path) -> None:
    async with two_clients(tmp_path) as (alice, bob):
        order = {"message": "waves", "chatType": "t2v", "waitForCompletion": False}
        key = {"idempotency-key": "the-same"}
        answers = await asyncio.gather(
            *(client.post("/api/chat", json=order, headers=key) for client in (alice, bob, alice))
        )
        first, other, again = (answer.json()["task_id"] for answer in answers)
        assert first == again != other
        taken = await alice.post("/api/chat", json=order | {"message": "hills"}, headers=key)
        assert taken.status_code == 422
