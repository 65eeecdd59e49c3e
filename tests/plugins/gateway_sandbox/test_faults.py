"""Each scripted fault, seen from the client's end of the socket."""

import asyncio
import json
import time

import httpx
import pytest

pytestmark = pytest.mark.anyio


async def raw(site, chat, text="echo hello", **more):
    """The bytes that arrive before the line drops, and whether it dropped."""
    url = f"{site.base}/api/v2/chat/completions?chat_id={chat}"
    body = site.body(chat, text, **more)
    got = b""
    try:
        async with site.http.stream("POST", url, headers=site.headers, json=body) as reply:
            async for piece in reply.aiter_raw():
                got += piece
    except httpx.RemoteProtocolError:
        return got, True
    return got, False


async def collect(pieces):
    return [piece async for piece in pieces]


@pytest.mark.parametrize(
    ("kind", "status", "actual", "told"),
    [
        ("daily_limit", 200, "429", '"code":"RateLimited"'),
        ("daily_limit_429", 429, "429", '"num":4'),
        ("daily_limit_flat", 200, None, '{"code":"RateLimited","detail"'),
        ("daily_limit_frame", 200, None, 'data: {"success":false'),
        ("burst_limit", 429, "429", "Too_Many_Requests"),
        ("unauthorized", 200, "401", '"code":"Unauthorized"'),
        ("unauthorized_401", 401, "401", '"code":"Unauthorized"'),
        ("forbidden", 403, "403", "Forbidden"),
        ("server_error", 500, None, "upstream"),
        ("gateway_timeout", 504, None, "<html>"),
        ("captcha_json", 200, None, "FAIL_SYS_USER_VALIDATE"),
        ("captcha_html", 200, None, "<!doctype html>"),
        ("chat_in_progress", 200, "400", "The chat is in progress!"),
        ("internal_error", 200, "400", "internal error"),
        ("data_inspection_failed", 200, "400", "data_inspection_failed"),
        ("inspection_frame", 200, None, 'data: {"error":{"code":"data_inspection_failed"'),
        ("error_frame", 200, None, 'data: {"error":{"code":"internal_error"'),
        ("error_text_frame", 200, None, 'data: {"error":"Internal error!"}'),
        ("empty_body", 200, None, ""),
        ("created_only", 200, None, "response.created"),
    ],
)
async def test_a_reply_takes_the_place_of_the_true_one_once(site, kind, status, actual, told):
    chat = await site.new_chat()
    await site.fault(kind, endpoint="completions")
    reply = await site.ask(chat, "echo hello")
    assert (reply.status_code, reply.headers.get("x-actual-status-code")) == (status, actual)
    assert told in reply.text
    assert await site.say("echo hello") == "hello"
    messages = (await site.get(f"/api/v2/chats/{chat}")).json()["data"]["chat"]["messages"]
    assert messages == []


async def test_selectors_choose_account_endpoint_and_chat_type(sites):
    alice, bob = sites("alice"), sites("bob")
    await alice.fault("unauthorized", account="alice", endpoint="completions", chat_type="t2i", times=0)
    assert "Unauthorized" in (await alice.ask(await alice.new_chat(), "a", kind="t2i")).text
    assert await alice.say("echo hi") == "hi"
    assert "image_gen" in (await bob.ask(await bob.new_chat(), "a", kind="t2i")).text


async def test_an_account_can_be_named_by_its_user_id(site):
    user = (await site.get("/api/v1/auths")).json()["id"]
    await site.fault("server_error", account=user, status=503)
    assert (await site.get("/api/v1/auths")).status_code == 503


async def test_times_and_skip(site):
    await site.fault("server_error", endpoint="models", skip=1, times=2)
    codes = [(await site.get("/api/models")).status_code for _ in range(4)]
    assert codes == [200, 500, 500, 200]


async def test_a_script_is_read_and_cleared(site):
    await site.fault("stall", times=0)
    pending = (await site.get("/__sandbox__/faults")).json()
    assert [fault["kind"] for fault in pending] == ["stall"]
    await site.http.delete(f"{site.base}/__sandbox__/faults")
    assert (await site.get("/__sandbox__/faults")).json() == []


@pytest.mark.parametrize("wrong", [{"kind": "nonsense"}, {"kind": "cut", "typo": 1}, {}])
async def test_a_fault_that_nobody_knows_is_refused(site, wrong):
    assert (await site.post("/__sandbox__/faults", wrong)).json()["success"] is False


async def test_the_journal_names_the_fault(site):
    await site.fault("captcha_html", endpoint="models")
    await site.get("/api/models")
    assert (await site.get("/__sandbox__/journal")).json()[-1]["fault"] == "captcha_html"


@pytest.mark.parametrize("after", [0, 1, 300, 700])
async def test_a_cut_comes_after_so_many_bytes(site, after):
    chat = await site.new_chat()
    await site.fault("cut", endpoint="completions", after=after)
    got, dropped = await raw(site, chat, "write 100 words")
    assert dropped
    assert len(got) == after


async def test_a_cut_inside_a_character(site):
    chat = await site.new_chat()
    await site.fault("cut_in_character", endpoint="completions")
    got, dropped = await raw(site, chat, "echo привет")
    assert dropped
    with pytest.raises(UnicodeDecodeError, match="unexpected end"):
        got.decode()


async def test_a_cut_of_a_plain_answer(site):
    await site.fault("cut", endpoint="models", after=10)
    with pytest.raises(httpx.RemoteProtocolError):
        await site.get("/api/models")


async def test_an_answer_lost_after_the_work_was_accepted(site):
    chat = await site.new_chat()
    await site.fault("lost_answer", endpoint="completions")
    with pytest.raises(httpx.RemoteProtocolError):
        await site.ask(chat, "waves", kind="t2v")
    messages = (await site.get(f"/api/v2/chats/{chat}")).json()["data"]["chat"]["messages"]
    tasks = (await site.get("/__sandbox__/tasks")).json()
    assert messages[-1]["extra"]["wanx"]["task_id"] == tasks[0]["id"]
    assert len(tasks) == 1


async def test_a_stall_lasts_until_the_client_leaves(site):
    chat = await site.new_chat()
    await site.fault("stall", endpoint="completions", after=2)
    url = f"{site.base}/api/v2/chat/completions?chat_id={chat}"
    body = site.body(chat, "write 100 words")
    async with site.http.stream("POST", url, headers=site.headers, json=body, timeout=0.2) as reply:
        pieces = reply.aiter_raw()
        assert b"response.created" in await anext(pieces)
        with pytest.raises(httpx.ReadTimeout):
            await collect(pieces)
    for _ in range(50):
        reply = await site.ask(chat, "echo free")
        if "in progress" not in reply.text:
            break
        await asyncio.sleep(0.02)
    assert '"content":" free"' in reply.text or '"content":"free"' in reply.text


async def test_a_stall_of_a_plain_answer_ends_with_its_seconds(site):
    await site.fault("stall", endpoint="models", seconds=0.2)
    began = time.monotonic()
    assert (await site.get("/api/models")).status_code == 200
    assert time.monotonic() - began >= 0.2


async def test_a_slow_head_and_slow_pieces(site, read):
    chat = await site.new_chat()
    await site.fault("slow", endpoint="completions", head_seconds=0.1, seconds=0.02)
    began = time.monotonic()
    assert read.visible(read.frames(await site.ask(chat, "echo a b c"))) == "a b c"
    assert time.monotonic() - began >= 0.1 + 5 * 0.02


async def test_a_malformed_frame_stands_among_good_ones(site):
    chat = await site.new_chat()
    await site.fault("malformed_frame", endpoint="completions", after=1)
    reply = await site.ask(chat, "echo hi")
    broken = []
    for part in filter(None, reply.text.split("\n\n")):
        try:
            json.loads(part.removeprefix("data: "))
        except json.JSONDecodeError:
            broken.append(part)
    assert len(broken) == 1
    assert '"content":"hi"' in reply.text


async def test_an_explicit_end_and_a_wrong_name(site):
    chat = await site.new_chat()
    await site.fault("done_frame", endpoint="completions")
    assert (await site.ask(chat, "echo hi")).text.endswith("data: [DONE]\n\n")
    await site.fault("wrong_content_type", endpoint="completions")
    reply = await site.ask(chat, "echo hi")
    assert reply.headers["content-type"] == "application/octet-stream"
    assert '"content":"hi"' in reply.text


@pytest.mark.parametrize(("kind", "status"), [("task_fails", "failed"), ("task_never_ends", "running")])
async def test_a_task_is_born_with_its_end(serve, kind, status):
    async with serve(video_seconds=0.0) as make:
        site = make()
        await site.fault(kind)
        assert await site.say("echo not for texts") == "not for texts"
        reply = (await site.ask(await site.new_chat(), "waves", kind="t2v")).json()
        task = reply["data"]["messages"][0]["extra"]["wanx"]["task_id"]
        state = (await site.get(f"/api/v1/tasks/status/{task}")).json()
        assert (state["task_status"], state["content"]) == (status, "")
        assert bool(state["message"]) == (status == "failed")


async def test_a_failed_poll_is_not_a_failed_task(site):
    reply = (await site.ask(await site.new_chat(), "waves", kind="t2v")).json()
    task = reply["data"]["messages"][0]["extra"]["wanx"]["task_id"]
    await site.fault("gateway_timeout", endpoint="task")
    assert (await site.get(f"/api/v1/tasks/status/{task}")).status_code == 504
    assert (await site.get(f"/api/v1/tasks/status/{task}")).json()["task_status"] in ("running", "success")
