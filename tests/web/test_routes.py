"""Plain paths are found before the router is asked; nobody can tell from outside."""

from pathlib import Path

import httpx
import pytest

from tests.serving import serving_gateway, settings_in

pytestmark = pytest.mark.anyio

CHAT = "/v1/chat/completions"
BODY = {"model": "", "messages": [{"role": "user", "content": "hello"}]}
CORS = '[server]\ncors_origins = ["https://app.example"]\n'


@pytest.mark.parametrize("toml", ["", CORS])
async def test_every_spelling_of_a_path_is_one_route(tmp_path: Path, toml: str) -> None:
    async with (
        serving_gateway(settings_in(tmp_path, toml)) as served,
        httpx.AsyncClient(base_url=served.url) as client,
    ):
        for path in ("/v1/models", "/v1/models/", "/v1/models?a=b", "/v1/%6dodels"):
            assert (await client.get(path)).json()["object"] == "list"
        counted = (await client.get("/metrics")).text
    assert 'gateway_http_requests_total{method="GET",route="/v1/models",status="200"} 4.0' in counted


@pytest.mark.parametrize("toml", ["", CORS])
async def test_a_wrong_method_names_the_right_ones(tmp_path: Path, toml: str) -> None:
    async with (
        serving_gateway(settings_in(tmp_path, toml)) as served,
        httpx.AsyncClient(base_url=served.url) as client,
    ):
        answer = await client.delete(CHAT)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


async def test_cross_origin_callers_are_served_where_they_are_named(tmp_path: Path) -> None:
    asks = {
        "origin": "https://app.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization",
    }
    async with (
        serving_gateway(settings_in(tmp_path, CORS)) as served,
        httpx.AsyncClient(base_url=served.url) as client,
    ):
        preflight = await client.options(CHAT, headers=asks)
        answer = await client.post(CHAT, json=BODY, headers={"origin": "https://app.example"})
    assert preflight.headers["access-control-allow-origin"] == "https://app.example"
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
