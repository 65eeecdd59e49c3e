"""Through a real gateway, from a client's call to the provider's wire and back."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
import pytest

from gateway.plugin_api.testing import serve
from tests.plugins.gateway_dashscope.cloud import RESULT, Cloud
from tests.serving import serving_gateway, settings_in
from tests.web.waiting import until

pytestmark = pytest.mark.anyio

CONFIG = """
[models]
default = "qwen-plus"

[upstreams.cloud]
kind = "dashscope"
base_url = "{url}"
[[upstreams.cloud.accounts]]
id = "team"
api_key = "sk-canary-1"
"""


@asynccontextmanager
async def gateway_over(cloud: Cloud, folder) -> AsyncGenerator[httpx.AsyncClient, None]:
    async with serve(cloud.answer) as wire:
        cloud.url = wire.url
        settings = settings_in(folder, CONFIG.format(url=wire.url))
        async with (
            serving_gateway(settings) as served,
            httpx.AsyncClient(base_url=served.url, timeout=30) as client,
        ):
            yield client


async def ended(client: httpx.AsyncClient, task_id: str) -> dict[str, object]:
    async with asyncio.timeout(15):
        while True:
            task = (await client.get(f"/api/tasks/status/{task_id}")).json()
            if task["status"] in ("completed", "failed"):
                return task
            await asyncio.sleep(0.05)


async def test_text_and_a_picture_at_once(tmp_path) -> None:
    async with gateway_over(Cloud(), tmp_path) as client:
        said = (await client.post("/api/chat", json={"message": "Hi"})).json()
        assert said["choices"][0]["message"]["content"] == "Hello, 世界 👋"
        order = {"message": "a cat", "chatType": "t2i", "model": "qwen-image", "size": "16:9", "n": 2}
        drawn = (await client.post("/api/chat", json=order)).json()
        urls = [image["url"] for image in drawn["images"]]
        assert urls == [f"{RESULT}/0.png?Expires=1&Signature=s"] * 2


@pytest.mark.parametrize("model", ["wan2.2-t2i-flash", "wan2.6-t2i"])
async def test_pictures_as_a_task(tmp_path, model: str) -> None:
    cloud = Cloud()
    async with gateway_over(cloud, tmp_path) as client:
        order = {"message": "a cat", "chatType": "t2i", "model": model}
        accepted = (await client.post("/api/chat", json=order | {"async": True})).json()
        assert accepted["status"] in ("pending", "processing")
        task = await ended(client, accepted["task_id"])
        assert task["status"] == "completed"
        assert task["content"].startswith(RESULT)
        waited = (await client.post("/api/chat", json=order)).json()
        assert [image["url"] for image in waited["images"]] == [f"{RESULT}/0.png?Expires=1&Signature=s"]
    assert {body["parameters"]["n"] for _, body, _ in cloud.orders} == {1}


async def test_a_film_with_and_without_waiting(tmp_path) -> None:
    cloud = Cloud()
    async with gateway_over(cloud, tmp_path) as client:
        order = {"message": "waves", "chatType": "t2v", "model": "wan2.5-t2v-preview", "size": "9:16"}
        waited = (await client.post("/api/chat", json=order)).json()
        assert waited["video_url"] == f"{RESULT}/a.mp4?Expires=1"
        accepted = (await client.post("/api/chat", json=order | {"waitForCompletion": False})).json()
        task = await ended(client, accepted["task_id"])
        assert (task["status"], task["video_url"]) == ("completed", f"{RESULT}/a.mp4?Expires=1")
    assert [body["parameters"]["size"] for _, body, _ in cloud.orders] == ["1080*1920"] * 2


async def test_a_film_that_cannot_be_made_costs_nothing_and_a_running_one_is_not_stopped(tmp_path) -> None:
    cloud = Cloud()
    cloud.running = 10_000
    async with gateway_over(cloud, tmp_path) as client:
        order = {"message": "waves", "chatType": "t2v", "model": "wan2.2-t2v-plus"}
        refused = await client.post(
            "/v1/videos", json={"prompt": "waves", "model": order["model"], "seconds": "9"}
        )
        assert refused.status_code == 400
        assert cloud.orders == []
        accepted = (await client.post("/api/chat", json=order | {"waitForCompletion": False})).json()
        await until(lambda: [task["state"] for task in cloud.tasks.values()] == ["RUNNING"], seconds=10)
        assert (await client.delete(f"/api/tasks/{accepted['task_id']}")).status_code == 409


async def test_a_lost_order_is_found_and_never_repeated(tmp_path) -> None:
    cloud = Cloud()
    cloud.lose = True
    async with gateway_over(cloud, tmp_path) as client:
        order = {"message": "waves", "chatType": "t2v", "model": "wan2.5-t2v-preview"}
        lost = await client.post("/api/chat", json=order)
        assert (lost.status_code, lost.json()["code"]) == (502, "create_ambiguous")
        assert lost.headers["x-should-retry"] == "false"
        task = (await client.get(f"/api/tasks/status/{lost.json()['task_id']}")).json()
        assert task["status"] in ("processing", "completed")
    assert len(cloud.orders) == 1
