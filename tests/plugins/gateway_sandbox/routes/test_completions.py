"""Text and pictures on the wire."""

import asyncio
from itertools import pairwise

import httpx
import pytest

pytestmark = pytest.mark.anyio


def usage_of(payloads):
    return [payload["usage"] for payload in payloads if "usage" in payload]


async def test_a_text_is_created_then_typed_then_finished(site, read):
    chat = await site.new_chat()
    payloads = read.frames(await site.ask(chat, "count to 5"))
    created = payloads[0]["response.created"]
    assert created["chat_id"] == chat
    assert created["response_id"] != created["parent_id"]
    assert read.visible(payloads) == "1, 2, 3, 4, 5"
    assert [delta["status"] for delta in read.deltas(payloads)][-2:] == ["typing", "finished"]
    assert {payload["response_id"] for payload in payloads[1:]} == {created["response_id"]}


async def test_usage_grows_from_frame_to_frame(site, read):
    payloads = read.frames(await site.ask(await site.new_chat(), "write 50 words"))
    outputs = [usage["output_tokens"] for usage in usage_of(payloads)]
    assert outputs == sorted(outputs)
    assert outputs[-1] > outputs[0]
    last = usage_of(payloads)[-1]
    assert last["total_tokens"] == last["input_tokens"] + last["output_tokens"]


async def test_whole_texts_where_increments_are_not_wanted(site, read):
    payloads = read.frames(
        await site.ask(await site.new_chat(), "echo one two three", incremental_output=False)
    )
    contents = [delta["content"] for delta in read.deltas(payloads)]
    assert contents[-1] == "one two three"
    assert all(later.startswith(earlier) for earlier, later in pairwise(contents))


async def test_thinking_has_a_phase_and_an_end_of_its_own(site, read):
    reply = await site.ask(await site.new_chat(), "echo hi", config={"thinking_enabled": True})
    states = [(delta["phase"], delta["status"]) for delta in read.deltas(read.frames(reply))]
    ends = [state for state in states if state[1] == "finished"]
    assert ends == [("think", "finished"), ("answer", "finished")]
    assert read.visible(read.frames(reply)) == "hi"


async def test_thinking_as_a_summary_is_cumulative(site, read):
    config = {"thinking_enabled": True, "thinking_format": "summary"}
    found = read.deltas(read.frames(await site.ask(await site.new_chat(), "echo hi", config=config)))
    thoughts = [d["extra"]["summary_thought"]["content"] for d in found if d["phase"] == "thinking_summary"]
    assert [len(thought) for thought in thoughts] == list(range(1, len(thoughts) + 1))
    assert all(later[: len(earlier)] == earlier for earlier, later in pairwise(thoughts))


async def test_without_the_phase_schema_no_phase_is_named(site, read):
    reply = await site.ask(await site.new_chat(), "echo hi", config={"output_schema": None})
    assert all("phase" not in delta for delta in read.deltas(read.frames(reply)))


async def test_an_unknown_model_answers_nothing(site, read):
    payloads = read.frames(await site.ask(await site.new_chat(), "echo hi", model="gpt-4"))
    assert [list(payload) for payload in payloads] == [["response.created"]]


async def test_a_thread_remembers_and_a_new_chat_does_not(site, read):
    chat = await site.new_chat()
    first = read.frames(await site.ask(chat, "my name is Ada"))[0]["response.created"]
    reply = await site.ask(chat, "what is my name?", parent=first["response_id"])
    assert "Ada" in read.visible(read.frames(reply))
    assert "Ada" not in await site.say("what is my name?")


@pytest.mark.parametrize("wrong", ["user", "nonsense"])
async def test_only_an_answer_can_be_a_parent(site, read, wrong):
    chat = await site.new_chat()
    created = read.frames(await site.ask(chat, "echo a"))[0]["response.created"]
    parent = created["parent_id"] if wrong == "user" else "nonsense"
    reply = await site.ask(chat, "echo b", parent=parent)
    assert reply.status_code == 200
    assert reply.json()["data"]["details"] == f"parent_id {parent} is not exist"


async def test_one_call_at_a_time_per_chat(serve, read):
    async with serve(first_token_seconds=0.5) as make:
        site = make()
        chat = await site.new_chat()
        replies = await asyncio.gather(site.ask(chat, "echo a"), site.ask(chat, "echo b"))
        texts = [reply.text for reply in replies]
        assert sum("The chat is in progress!" in text for text in texts) == 1
        assert read.visible(read.frames(await site.ask(chat, "echo c"))) == "c"


async def test_a_client_that_leaves_frees_its_chat(serve, read):
    async with serve(tokens_per_second=5) as make:
        site = make()
        chat = await site.new_chat()
        url = f"{site.base}/api/v2/chat/completions?chat_id={chat}"
        body = site.body(chat, "write 500 words")
        async with site.http.stream("POST", url, headers=site.headers, json=body) as reply:
            await anext(reply.aiter_bytes())
        for _ in range(50):
            reply = await site.ask(chat, "echo a")
            if "in progress" not in reply.text:
                break
            await asyncio.sleep(0.02)
        assert "in progress" not in reply.text


async def test_stop_ends_an_answer_without_a_finish(serve, read):
    async with serve(tokens_per_second=20) as make:
        site = make()
        chat = await site.new_chat()
        running = asyncio.create_task(site.ask(chat, "write 500 words"))
        for _ in range(100):
            stopped = (await site.post(f"/api/v2/chat/completions/stop?chat_id={chat}", {})).json()
            if stopped["data"]["status"]:
                break
            await asyncio.sleep(0.02)
        assert all(delta["status"] == "typing" for delta in read.deltas(read.frames(await running)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"messages": []}, "exactly one message"),
        ({"stream": False}, "stream must be true"),
        ({"size": "1024x1024"}, "Field 'size'"),
        ({"messages": [{"role": "system", "content": "x"}]}, "Input should be 'user'"),
        ({"messages": [{"role": "user"}]}, "Field 'messages[0].content': Field required"),
        ({"model": 5}, "Field 'model'"),
        ({"chat_id": "other"}, "differ"),
    ],
)
async def test_a_call_that_makes_no_sense_is_told_why(site, change, said):
    chat = await site.new_chat()
    body = {**site.body(chat, "hi"), **change}
    reply = await site.post(f"/api/v2/chat/completions?chat_id={chat}", body)
    assert reply.status_code == 200
    assert reply.headers["x-actual-status-code"] == "400"
    assert said in reply.json()["data"]["details"]


async def test_a_missing_chat_id_is_named_as_the_provider_names_it(site):
    body = site.body("x", "hi")
    del body["chat_id"]
    reply = await site.post("/api/v2/chat/completions", body)
    assert reply.json()["data"]["details"] == "RequestValidationError: Field 'chat_id': Field required"


@pytest.mark.parametrize("garbage", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 5000, b'{"a":1}'])
async def test_garbage_is_refused_not_crashed_on(site, garbage):
    url = f"{site.base}/api/v2/chat/completions?chat_id=x"
    reply = await site.http.post(url, headers=site.headers, content=garbage)
    assert reply.status_code == 200
    assert reply.json()["success"] is False


async def test_a_picture_is_one_address_with_its_pixels(site, read):
    payloads = read.frames(await site.ask(await site.new_chat(), "a calm sea", kind="t2i", size="16:9"))
    typing, finished = read.deltas(payloads)
    assert typing["phase"] == finished["phase"] == "image_gen"
    assert typing["extra"]["output_image_hw"] == [[1536, 2688]]
    assert finished["content"] == ""
    assert (usage_of(payloads)[-1]["width"], usage_of(payloads)[-1]["height"]) == (2688, 1536)
    assert typing["content"].startswith(f"{site.base}/output/")
    assert payloads[0]["response.created"]["response_id"] in typing["content"]


async def test_a_slow_picture_keeps_its_connection_busy(serve, read):
    async with serve(image_seconds=0.25, keep_alive_seconds=0.1) as make:
        site = make()
        payloads = read.frames(await site.ask(await site.new_chat(), "a sea", kind="t2i"))
        actions = [payload["response.info"]["action"] for payload in payloads if "response.info" in payload]
        assert actions == ["keep_alive", "keep_alive"]


async def test_a_used_up_day_is_a_refusal_with_hours(serve):
    async with serve(quotas={"t2i": 1}) as make:
        site = make("alice")
        await site.ask(await site.new_chat(), "a", kind="t2i")
        data = (await site.ask(await site.new_chat(), "b", kind="t2i")).json()["data"]
        assert data["code"] == "RateLimited"
        assert 0 < data["num"] <= 24
        assert "t2i" in (await make("bob").ask(await make("bob").new_chat(), "b", kind="t2i")).text
        assert await site.say("echo still here") == "still here"


async def test_a_quota_holds_against_callers_at_the_same_time(serve):
    async with serve(quotas={"t2v": 3}) as make:
        site = make()
        chats = [await site.new_chat() for _ in range(8)]
        replies = await asyncio.gather(*(site.ask(chat, "x", kind="t2v") for chat in chats))
        assert sum(reply.json()["success"] for reply in replies) == 3


async def test_long_input_meets_the_models_limit(site, read):
    payloads = read.frames(await site.ask(await site.new_chat(), "x " * 300_000, model="qwen-max-latest"))
    assert payloads[1]["error"]["code"] == "ContextLengthExceeded"


async def test_an_answer_that_was_not_read_does_not_hold_up_others(serve):
    async with serve(tokens_per_second=0) as make:
        site = make()
        chat = await site.new_chat()
        url = f"{site.base}/api/v2/chat/completions?chat_id={chat}"
        async with site.http.stream(
            "POST", url, headers=site.headers, json=site.body(chat, "write 99999 words")
        ):
            assert await asyncio.wait_for(site.say("echo hi"), 5) == "hi"


async def test_the_connection_may_die_while_a_body_is_sent(site):
    host, port = site.base.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /api/v2/chats/new HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert isinstance(await site.new_chat(), str)


async def test_a_mixture_of_two_accounts_is_refused(site):
    headers = {**site.headers, "cookie": "token=bob"}
    reply = await site.http.get(f"{site.base}/api/v2/chats", headers=headers)
    assert reply.json()["data"]["code"] == "Unauthorized"


async def test_a_token_may_travel_as_a_cookie(sites):
    alice = sites("alice")
    chat = await alice.new_chat()
    url = f"{alice.base}/api/v2/chats/{chat}"
    async with httpx.AsyncClient() as bare:
        assert (await bare.get(url, headers={"cookie": "token=alice"})).json()["data"]["id"] == chat
        assert (await bare.get(url)).json()["data"]["code"] == "Unauthorized"
