"""Metrics on a port of their own: not for those who call the API."""

import asyncio
import socket

import httpx
import msgspec
import pytest

from gateway.server import serve
from tests.serving import settings_in

pytestmark = pytest.mark.anyio


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


async def test_each_port_serves_its_own(tmp_path):
    settings = settings_in(tmp_path, GATEWAY_METRICS__PORT=str(free_port()), GATEWAY_SERVER__PORT="0")
    settings = msgspec.structs.replace(
        settings, server=msgspec.structs.replace(settings.server, host="127.0.0.1")
    )
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    work = asyncio.create_task(serve(settings, started=lambda url, _: address.set_result(url)))
    main, own = await address, f"http://127.0.0.1:{settings.metrics.port}"
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"{main}/livez")).status_code == 200
        assert "gateway_build_info" in (await client.get(f"{own}/metrics")).text
        for url in (f"{main}/metrics", f"{own}/livez", f"{own}/v1/models", f"{own}/openapi"):
            answer = await client.get(url)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
            assert answer.headers["x-request-id"]
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
