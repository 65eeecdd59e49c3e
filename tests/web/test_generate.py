"""The three ways to hand a generation over."""

import asyncio
import gc

import httpx
import pytest
from structlog.testing import capture_logs

from tests.serving import serving_gateway, settings_in
from tests.web.waiting import until

pytestmark = pytest.mark.anyio


async def test_pictures_in_the_body_are_bare_base64(client):
    body = {"prompt": "a cat", "response_format": "b64_json", "n": 2}
    answer = await client.post("/v1/images/generations", json=body, timeout=30)
    pictures = answer.json()["data"]
    assert len(pictures) == 2
    assert all(picture["b64_json"].startswith("iVBOR") and "url" not in picture for picture in pictures)


@pytest.mark.parametrize(
    ("told", "scheme"), [("https", "https"), ("gopher", "http"), ("", "http"), ("https, http", "http")]
)
async def test_a_proxy_on_this_machine_says_the_scheme_of_media(client, told, scheme):
    asked = client.post("/v1/images/generations", json={"prompt": "a"}, headers={"x-forwarded-proto": told})
    assert (await asked).json()["data"][0]["url"].startswith(f"{scheme}://")


async def test_a_video_is_answered_with_its_task_and_found(client):
    made = (await client.post("/v1/videos", json={"prompt": "waves"}, timeout=30)).json()
    assert made["status"] in ("queued", "in_progress")
    assert (await client.get(f"/v1/videos/{made['id']}")).json()["id"] == made["id"]
    listed = (await client.get("/v1/videos")).json()
    assert made["id"] in [video["id"] for video in listed["data"]]


async def finished(client: httpx.AsyncClient, video_id: str) -> dict:
    async with asyncio.timeout(60):
        while True:
            video = (await client.get(f"/v1/videos/{video_id}")).json()
            if video["status"] in ("completed", "failed"):
                return video
            await asyncio.sleep(0.1)


async def test_a_films_content_comes_whole_in_pieces_and_not_at_all(client):
    made = (await client.post("/v1/videos", json={"prompt": "waves"}, timeout=30)).json()
    early = await client.get(f"/v1/videos/{made['id']}/content")
    assert early.status_code == 404
    assert (await finished(client, made["id"]))["status"] == "completed"
    path = f"/v1/videos/{made['id']}/content"
    whole = await client.get(path)
    assert (whole.status_code, whole.headers["content-type"]) == (200, "video/mp4")
    film = whole.content
    assert whole.headers["content-length"] == str(len(film))
    assert b"ftyp" in film[:16]
    for wanted, piece in [("bytes=0-9", film[:10]), ("bytes=-5", film[-5:]), ("bytes=10-", film[10:])]:
        answer = await client.get(path, headers={"range": wanted})
        assert (answer.status_code, answer.content) == (206, piece)
        assert answer.headers["content-range"].endswith(f"/{len(film)}")
    bad = await client.get(path, headers={"range": f"bytes={len(film)}-"})
    assert (bad.status_code, bad.headers["content-range"]) == (416, f"bytes */{len(film)}")
    head = await client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(film))
    assert (await client.get(path, params={"variant": "thumbnail"})).status_code == 400


async def test_a_remix_names_what_it_was_made_from_and_stays_with_its_owner(client):
    made = (await client.post("/v1/videos", json={"prompt": "waves"}, timeout=30)).json()
    await finished(client, made["id"])
    remix = await client.post(f"/v1/videos/{made['id']}/remix", json={"prompt": "at night"}, timeout=30)
    assert remix.status_code == 200, remix.text
    assert remix.json()["remixed_from_video_id"] == made["id"]
    assert (await client.get(f"/v1/videos/{remix.json()['id']}")).json()["remixed_from_video_id"] == made[
        "id"
    ]


async def test_a_native_chat_goes_on_over_http(client):
    first = (await client.post("/api/chat", json={"message": "my name is Ada"}, timeout=30)).json()
    again = {"message": "and?", "chatId": first["chatId"], "parentId": first["parentId"]}
    second = await client.post("/api/chat", json=again, timeout=30)
    assert second.status_code == 200, second.text
    assert second.json()["chatId"] == first["chatId"]


async def test_work_outlives_a_client_that_left_where_drain_is_set(tmp_path):
    settings = settings_in(tmp_path, GATEWAY_SERVER__ON_DISCONNECT="drain")
    wanted = 'gateway_upstream_attempts_total{account="sandbox/sandbox",op="t2t",outcome="ok"}'
    story = "tell me a long story " * 40
    async with serving_gateway(settings) as served, httpx.AsyncClient(base_url=served.url) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post("/api/chat", json={"message": story}, timeout=0.3)
        for _ in range(200):
            if wanted in (await client.get("/metrics")).text:
                return
            await asyncio.sleep(0.1)
    raise AssertionError("the work was cancelled with its client")


_SLOW_TO_FAIL = """
[upstreams.there]
kind = "openai_compatible"
base_url = "http://127.0.0.1:{}/v1"
models = ["m"]
accounts = [{{ id = "a" }}]
"""


async def _hang_up_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    await asyncio.sleep(0.6)
    writer.close()


async def test_work_that_fails_when_its_client_has_left_is_logged_and_nothing_else(tmp_path):
    async with await asyncio.start_server(_hang_up_late, "127.0.0.1", 0) as provider:
        toml = _SLOW_TO_FAIL.format(provider.sockets[0].getsockname()[1])
        settings = settings_in(tmp_path, toml, GATEWAY_SERVER__ON_DISCONNECT="drain")
        with capture_logs() as lines:
            async with serving_gateway(settings) as served, httpx.AsyncClient(base_url=served.url) as client:
                body = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
                with pytest.raises(httpx.ReadTimeout):
                    await client.post("/v1/chat/completions", json=body, timeout=0.3)
                await until(lambda: any(line["event"] == "abandoned_work_failed" for line in lines))
        gc.collect()  # an exception that nobody asked for would be reported now, and fail the test


async def test_a_key_for_an_alias_may_use_the_alias_and_nothing_else(tmp_path):
    toml = """
    [models.aliases]
    "gpt-4o" = "qwen3-max"
    [[auth.keys]]
    name = "alice"
    key = "sk-alice-secret"
    models = ["gpt-4o"]
    """
    statuses = {"gpt-4o": 200, "qwen3-max": 403, "qwen-max-latest": 403, "": 403}
    headers = {"authorization": "Bearer sk-alice-secret"}
    async with (
        serving_gateway(settings_in(tmp_path, toml)) as served,
        httpx.AsyncClient(base_url=served.url, headers=headers, timeout=30) as client,
    ):
        for model, status in statuses.items():
            answer = await client.post("/api/chat", json={"message": "hi", "model": model})
            assert answer.status_code == status, (model, answer.text)


async def test_ignored_fields_are_named_in_the_words_of_the_caller(tmp_path):
    body = {
        "model": "qwen-max-latest",
        "messages": [{"role": "user", "content": "Hi"}],
        "temperature": 0.5,
        "reasoning_effort": "low",
    }
    async with (
        serving_gateway(settings_in(tmp_path)) as served,
        httpx.AsyncClient(base_url=served.url) as client,
    ):
        for stream in (False, True):
            answer = await client.post("/v1/chat/completions", json=body | {"stream": stream})
            assert answer.headers["x-gateway-ignored"] == "temperature, reasoning_effort"
