"""Starting, stopping, dying, coming back."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from gateway_sandbox import SandboxServer, SandboxSettings
from gateway_sandbox.server import _open_socket

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[3]
PROGRAM = """
import asyncio, sys
from gateway_sandbox import SandboxServer, SandboxSettings
async def main():
    quick = {"image_seconds": 0, "tokens_per_second": 0, "first_token_seconds": 0}
    server = SandboxServer(SandboxSettings(path=sys.argv[1], video_seconds=1.0, **quick))
    print(await server.start(), flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins'}"}


def launch(code, *arguments):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)


async def base_url(process):
    return (await asyncio.to_thread(process.stdout.readline)).strip()


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()


async def finished(site, task):
    for _ in range(200):
        state = (await site.get(f"/api/v1/tasks/status/{task}")).json()
        if state["task_status"] != "running":
            return state
        await asyncio.sleep(0.05)
    raise AssertionError("the video did not end")


async def test_nothing_is_lost_by_sigkill(tmp_path, read, account):
    path = tmp_path / "sandbox.db"
    process = launch(PROGRAM, path)
    base = await base_url(process)
    async with httpx.AsyncClient(timeout=20) as http:
        try:
            site = account(base, http, "alice")
            chat = await site.new_chat()
            created = read.frames(await site.ask(chat, "my name is Ada"))[0]["response.created"]
            reply = await site.ask(await site.new_chat(), "waves", kind="t2v")
            task = reply.json()["data"]["messages"][0]["extra"]["wanx"]["task_id"]
            picture = read.deltas(read.frames(await site.ask(await site.new_chat(), "hills", kind="t2i")))[0][
                "content"
            ]
            before = (await http.get(picture)).content
        finally:
            kill(process)
        process = launch(PROGRAM, path)
        try:
            assert await base_url(process) == base
            answer = await site.ask(chat, "what is my name?", parent=created["response_id"])
            assert "Ada" in read.visible(read.frames(answer))
            assert (await http.get(picture)).content == before
            state = await finished(site, task)
            assert (await http.get(state["content"])).content[4:8] == b"ftyp"
            assert len((await site.get("/__sandbox__/journal")).json()) >= 8
        finally:
            kill(process)


async def test_signal_handlers_are_left_alone():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    server = SandboxServer(SandboxSettings())
    await server.start()
    assert {number: signal.getsignal(number) for number in before} == before
    await server.aclose()
    assert {number: signal.getsignal(number) for number in before} == before


async def test_closing_does_not_wait_for_open_streams():
    server = SandboxServer(SandboxSettings(tokens_per_second=1))
    base = await server.start()
    async with httpx.AsyncClient() as http:
        headers = {"authorization": "Bearer alice"}
        new = await http.post(f"{base}/api/v2/chats/new", headers=headers, json={"models": ["qwen3-max"]})
        chat = new.json()["data"]["id"]
        message = {"role": "user", "content": "write 500 words"}
        body = {"stream": True, "chat_id": chat, "model": "qwen3-max", "messages": [message]}
        url = f"{base}/api/v2/chat/completions?chat_id={chat}"
        async with http.stream("POST", url, headers=headers, json=body) as reply:
            await anext(reply.aiter_raw())
            await asyncio.wait_for(server.aclose(), 3)
    await server.aclose()


async def test_a_taken_port_is_an_error_and_leaves_nothing_open():
    first = SandboxServer(SandboxSettings())
    base = await first.start()
    second = SandboxServer(SandboxSettings())
    with pytest.raises(OSError, match="in use"):
        await second.start(port=int(base.rpartition(":")[2]))
    await first.aclose()


def test_the_listening_socket_says_that_it_is_tcp():
    """Else asyncio leaves Nagle's delay on, and every answer waits 40 ms for it."""
    with _open_socket("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


async def test_two_servers_in_one_loop_share_nothing():
    servers = [SandboxServer(SandboxSettings()) for _ in range(2)]
    bases = [await server.start() for server in servers]
    headers = {"authorization": "Bearer alice"}
    async with httpx.AsyncClient(headers=headers) as http:
        await http.post(f"{bases[0]}/api/v2/chats/new", json={"models": ["qwen3-max"]})
        counts = [len((await http.get(f"{base}/api/v2/chats")).json()["data"]) for base in bases]
    assert counts == [1, 0]
    for server in servers:
        await server.aclose()


async def test_the_command_serves_until_it_is_told_to_stop():
    code = "from gateway_sandbox.command import sandbox; sandbox(['--tokens-per-second', '0'])"
    process = launch(code)
    line = await base_url(process)
    async with httpx.AsyncClient() as http:
        assert (await http.get(f"{line.split()[4]}/api/models")).status_code == 200
    process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait, 10) == 0
    process.stdout.close()


def test_importing_the_package_costs_nothing():
    names = ("litestar", "PIL", "uvicorn", "sqlite3")
    code = f"import sys, gateway_sandbox; print([name for name in {names} if name in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT, check=True
    )
    assert run.stdout.strip() == "[]"


def test_public_names():
    import gateway_sandbox

    assert gateway_sandbox.SandboxServer is SandboxServer
    with pytest.raises(AttributeError, match="Nonsense"):
        _ = gateway_sandbox.Nonsense
