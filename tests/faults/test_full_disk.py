"""A disk that takes nothing more: films are refused before they are ordered, text goes on."""

import asyncio
import resource
import time

import pytest

from tests.faults.fleet import Fleet, configure, fleet
from tests.faults.provider import Provider, provider

pytestmark = pytest.mark.anyio

QUESTION = {"model": "qwen-max-latest", "messages": [{"role": "user", "content": "hello"}]}
TALK = {"message": "hello"}
PICTURE = {"message": "a cat", "chatType": "t2i"}
FILM = {"message": "a boat", "chatType": "t2v", "waitForCompletion": False}


def fill_disk(gateways: Fleet) -> None:
    """Let no file of the gateway grow: its state, its media, its log."""
    _limit(gateways, 1)


def free_disk(gateways: Fleet) -> None:
    _limit(gateways, resource.RLIM_INFINITY)


def _limit(gateways: Fleet, size: int) -> None:
    for gateway in gateways.gateways:
        resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


async def post(gateways: Fleet, path: str, body: object):
    return await gateways.client(0).post(path, json=body)


async def test_a_full_disk_stops_orders_and_nothing_else(tmp_path, capsys):
    async with (
        provider(tmp_path) as qwen,
        fleet(
            tmp_path, configure(qwen.url, ["a", "b"], tables="[tasks]\npoll_interval_seconds = 0.2")
        ) as gateways,
    ):
        film = (await post(gateways, "/api/chat", FILM)).json()["task_id"]
        fill_disk(gateways)
        await expect_text_only(gateways, qwen)
        assert gateways.gateways[0].process.poll() is None
        free_disk(gateways)
        begun = time.perf_counter()
        while (await post(gateways, "/api/chat", FILM)).status_code != 200:
            assert time.perf_counter() - begun < 10, "it does not recover"
            await asyncio.sleep(0.1)
        recovered = time.perf_counter() - begun
        await expect_finished(gateways, film)
        for body in (TALK, PICTURE):
            assert (await post(gateways, "/api/chat", body)).status_code == 200
    with capsys.disabled():
        print(f"\nfull disk: orders {recovered:.2f} s after there is room")


async def expect_text_only(gateways: Fleet, qwen: Provider) -> None:
    before = await qwen.last()
    for _ in range(8):
        answer = await post(gateways, "/v1/chat/completions", QUESTION)
        assert answer.status_code == 200, answer.text
        refused = await post(gateways, "/api/chat", FILM)
        assert (refused.status_code, refused.json()["code"]) == (503, "storage_unavailable")
    assert not [entry for entry in await qwen.journal(before) if entry.chat_type == "t2v"]
    assert (await gateways.client(0).get("/livez")).status_code == 200


async def expect_finished(gateways: Fleet, film: str) -> None:
    end = time.monotonic() + 20
    while (status := (await gateways.client(0).get(f"/api/tasks/status/{film}")).json())[
        "status"
    ] != "completed":
        assert time.monotonic() < end, status
        await asyncio.sleep(0.2)
