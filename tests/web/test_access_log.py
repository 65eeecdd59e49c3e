"""The outermost layer: what every answer carries."""

from pathlib import Path

import httpx
import pytest

from tests.serving import serving_gateway, settings_in

pytestmark = pytest.mark.anyio

CONFIGURED = '[upstreams.box]\nkind = "sandbox"\n'


@pytest.mark.parametrize(("toml", "word"), [("", "true"), (CONFIGURED, None)])
async def test_every_answer_says_when_the_embedded_sandbox_serves(
    tmp_path: Path, toml: str, word: str | None
) -> None:
    async with (
        serving_gateway(settings_in(tmp_path, toml)) as served,
        httpx.AsyncClient(base_url=served.url) as client,
    ):
        for path in ("/livez", "/v1/models", "/api/status", "/nowhere"):
            assert (await client.get(path)).headers.get("x-gateway-sandbox") == word


async def test_every_answer_has_an_id_of_its_own(tmp_path: Path) -> None:
    async with (
        serving_gateway(settings_in(tmp_path)) as served,
        httpx.AsyncClient(base_url=served.url) as client,
    ):
        answers = [await client.get(path) for path in ("/livez", "/livez", "/v1/models", "/nowhere")]
    ids = {answer.headers["x-request-id"] for answer in answers}
    assert len(ids) == len(answers)
