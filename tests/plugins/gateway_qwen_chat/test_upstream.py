"""The whole wire, against the sandbox on a real socket."""

import asyncio
import time
from contextlib import aclosing

import msgspec
import pytest

from gateway.generation.errors import (
    AccountRejected,
    AnswerCut,
    BurstLimited,
    ChatBusy,
    ContentRefused,
    EmptyAnswer,
    GatewayError,
    InvalidAnswer,
    NotFound,
    RateLimited,
    UpstreamTimeout,
    UpstreamUnavailable,
    UpstreamUnreachable,
    VerificationRequired,
)
from gateway.generation.events import Finish, Media, ReasoningDelta, TextDelta, Thread, ToolCallDelta, Usage
from gateway.generation.requests import (
    Continuation,
    GenerationRequest,
    MediaPart,
    Message,
    TextPart,
    Thinking,
    Tool,
)
from gateway.generation.results import GenerationResult, collect
from gateway.generation.views import StoredFile
from gateway.plugin_api import Deadlines, Mode
from gateway.transport import Transport
from gateway_qwen_chat import QwenChatUpstream

pytestmark = pytest.mark.anyio

REFUSALS = [
    ("daily_limit", RateLimited),
    ("daily_limit_429", RateLimited),
    ("daily_limit_flat", RateLimited),
    ("daily_limit_frame", RateLimited),
    ("burst_limit", BurstLimited),
    ("unauthorized", AccountRejected),
    ("unauthorized_401", AccountRejected),
    ("forbidden", AccountRejected),
    ("server_error", UpstreamUnavailable),
    ("gateway_timeout", UpstreamUnavailable),
    ("captcha_json", VerificationRequired),
    ("captcha_html", VerificationRequired),
    ("data_inspection_failed", ContentRefused),
    ("inspection_frame", ContentRefused),
]


def ask(text: str, chat_type: str = "t2t", **more: object) -> GenerationRequest:
    message = Message("user", (TextPart(text),))
    fields = {"model": "qwen3-max", "messages": (message,), **more}
    return GenerationRequest(chat_type=chat_type, **fields)


async def listen(upstream, request, account, thread=None) -> list:
    async with aclosing(upstream.stream(request, account, thread)) as events:
        return [event async for event in events]


async def test_a_text_streams_after_its_thread_with_usage_and_a_finish(upstream, account):
    events = await listen(upstream, ask("Tell me about rivers."), account)
    assert isinstance(events[0], Thread)
    assert events[0].parent == ""
    assert events[1] == Thread(events[0].chat, events[1].parent)
    assert events[1].parent
    assert "".join(event.text for event in events if isinstance(event, TextDelta)).strip()
    assert isinstance(events[-2], Usage)
    assert events[-2].output_tokens > 0
    assert events[-1] == Finish("stop")


async def test_the_next_turn_goes_to_the_same_chat_and_carries_only_what_is_new(upstream, account, sandbox):
    first = await listen(upstream, ask("My name is Ada.", continuation=Continuation()), account)
    thread = [event for event in first if isinstance(event, Thread)][-1]
    request = ask("What is my name?", continuation=Continuation())
    second = await listen(upstream, request, account, thread)
    assert [event.chat for event in second if isinstance(event, Thread)] == [thread.chat]
    assert [entry["chat_id"] for entry in await sandbox.journal("completions")] == [thread.chat] * 2
    assert len(await sandbox.journal("chats.new")) == 1


async def test_reasoning_comes_as_reasoning(upstream, account):
    events = await listen(upstream, ask("Why is the sky blue?", thinking=Thinking(enabled=True)), account)
    assert any(isinstance(event, ReasoningDelta) for event in events)
    kinds = [type(event) for event in events]
    assert kinds.index(ReasoningDelta) < kinds.index(TextDelta)


async def test_a_tool_call_is_parsed_out_of_the_answer(upstream, account):
    tool = Tool(
        "get_weather",
        "The weather of a city",
        {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    )
    events = await listen(upstream, ask("What is the weather in Paris?", tools=(tool,)), account)
    (call,) = [event for event in events if isinstance(event, ToolCallDelta)]
    assert call.name == "get_weather"
    assert msgspec.json.decode(call.arguments) == {"city": "Paris"}
    assert events[-1] == Finish("tool_calls")
    assert not [event for event in events if isinstance(event, TextDelta)]


async def test_a_picture_is_one_private_url_with_its_size(upstream, account, sandbox):
    events = await listen(upstream, ask("A lake at dawn", "t2i", size="16:9"), account)
    (picture,) = [event for event in events if isinstance(event, Media)]
    assert (picture.kind, picture.width, picture.height, picture.private) == ("image", 2688, 1536, True)
    assert picture.media_type == "image/png"
    assert (await sandbox.get(picture.url)).headers["content-type"] == "image/png"
    assert events[-1] == Finish()


@pytest.mark.parametrize(("kind", "expected"), REFUSALS)
async def test_a_refusal_is_the_error_that_it_is(upstream, account, sandbox, kind, expected):
    await sandbox.fault(kind, endpoint="completions")
    with pytest.raises(expected) as caught:
        await listen(upstream, ask("Hello"), account)
    assert type(caught.value) is expected
    assert caught.value.sent is (expected is UpstreamUnavailable)
    if expected is RateLimited:
        assert caught.value.retry_after == 4 * 3600


@pytest.mark.parametrize(("kind", "expected"), [case for case in REFUSALS if "frame" not in case[0]])
async def test_a_refusal_may_come_when_the_chat_is_made(upstream, account, sandbox, kind, expected):
    await sandbox.fault(kind, endpoint="chats.new")
    with pytest.raises(expected):
        await listen(upstream, ask("Hello"), account)
    assert not await sandbox.journal("completions")


@pytest.mark.parametrize("kind", ["empty_body", "created_only"])
async def test_an_answer_without_content_is_an_error(upstream, account, sandbox, kind):
    await sandbox.fault(kind, endpoint="completions")
    with pytest.raises(EmptyAnswer):
        await listen(upstream, ask("Hello"), account)


@pytest.mark.parametrize("kind", ["internal_error", "error_frame", "error_text_frame"])
async def test_an_internal_error_is_not_answered_with_another_call(upstream, account, sandbox, kind):
    await sandbox.fault(kind, endpoint="completions")
    with pytest.raises(UpstreamUnavailable):
        await listen(upstream, ask("Hello"), account)
    assert len(await sandbox.journal("completions")) == 1


async def test_a_busy_chat_is_waited_for_a_few_times(upstream, account, sandbox):
    await sandbox.fault("chat_in_progress", endpoint="completions", times=2)
    assert (await listen(upstream, ask("Hello"), account))[-1] == Finish()
    await sandbox.fault("chat_in_progress", endpoint="completions", times=3)
    with pytest.raises(ChatBusy):
        await listen(upstream, ask("Hello"), account)


@pytest.mark.parametrize("kind", ["cut", "cut_in_character"])
async def test_a_cut_is_never_a_finish(upstream, account, sandbox, kind):
    await sandbox.fault(kind, endpoint="completions", after=900)
    with pytest.raises((AnswerCut, InvalidAnswer)):
        await listen(upstream, ask("Tell me about rivers."), account)


async def test_a_torn_frame_ends_an_answer_with_an_error_behind_what_came(upstream, account, sandbox):
    await sandbox.fault("malformed_frame", endpoint="completions", after=3)
    seen = []

    async def hear():
        async with aclosing(upstream.stream(ask("Tell me about rivers."), account, None)) as events:
            async for event in events:
                seen.append(type(event))  # noqa: PERF401 - what came before the error counts

    with pytest.raises(InvalidAnswer):
        await hear()
    assert seen.count(TextDelta) > 3
    assert Finish not in seen


async def test_a_picture_that_was_torn_is_found_in_its_chat(upstream, account, sandbox):
    await sandbox.fault("malformed_frame", endpoint="completions", chat_type="t2i", after=1)
    events = await listen(upstream, ask("A lake at dawn", "t2i"), account)
    assert (events[-1], sum(isinstance(event, Media) for event in events)) == (Finish(), 1)


@pytest.mark.parametrize("kind", ["done_frame", "wrong_content_type", "slow"])
async def test_odd_but_whole_answers_are_answers(upstream, account, sandbox, kind):
    await sandbox.fault(kind, endpoint="completions", after=3)
    assert (await listen(upstream, ask("Tell me about rivers."), account))[-1] == Finish()


async def all_idle(transport):
    async with asyncio.timeout(1):
        while transport.open_connections > transport.idle_connections:
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("kind", "how"), [("stall", {}), ("slow", {"head_seconds": 5.0}), ("lost_answer", {})]
)
@pytest.mark.parametrize("chat_type", ["t2t", "t2i"])
async def test_a_chat_that_is_not_made_in_time_leaves_nothing_behind(
    make_upstream, account, sandbox, chat_type, kind, how
):
    impatient = Transport(deadlines=Deadlines(first_byte=0.3, between_bytes=0.3))
    upstream = make_upstream(sandbox.url, transport=impatient, delete_chats=True)
    await sandbox.fault(kind, endpoint="chats.new", **how)
    begun = time.monotonic()
    with pytest.raises(UpstreamUnreachable if kind == "lost_answer" else UpstreamTimeout) as caught:
        await listen(upstream, ask("Hello", chat_type), account)
    assert time.monotonic() - begun < 2
    assert caught.value.sent
    await all_idle(impatient)
    assert not await sandbox.journal("completions")
    assert (await listen(upstream, ask("Hello", chat_type), account))[-1] == Finish()
    await upstream.aclose()
    deleted = {entry["chat_id"] for entry in await sandbox.journal("chats.delete")}
    assert deleted == {entry["chat_id"] for entry in await sandbox.journal("completions")}
    await impatient.aclose()


async def test_somebody_elses_chat_is_not_found(upstream, account, other_account, sandbox):
    events = await listen(upstream, ask("Hello"), account)
    with pytest.raises(NotFound):
        await listen(upstream, ask("Hello again"), other_account, events[1])


async def test_a_lost_turn_is_gone_on_without(upstream, account, sandbox, caplog):
    events = await listen(upstream, ask("Hello"), account)
    lost = Thread(events[0].chat, "no-such-turn")
    assert (await listen(upstream, ask("And now?"), account, lost))[-1] == Finish()
    assert "lost" in caplog.text
    assert len(await sandbox.journal("completions")) == 3


async def test_a_lost_picture_is_found_in_its_chat(upstream, account, sandbox):
    await sandbox.fault("cut", endpoint="completions", chat_type="t2i", after=250)
    events = await listen(upstream, ask("A lake at dawn", "t2i"), account)
    (picture,) = [event for event in events if isinstance(event, Media)]
    assert (await sandbox.get(picture.url)).status_code == 200
    assert events[-1] == Finish()


async def test_a_chat_is_deleted_after_a_one_off_call_if_so_set(make_upstream, account, sandbox):
    upstream = make_upstream(sandbox.url, delete_chats=True)
    await listen(upstream, ask("Hello"), account)
    kept = await listen(upstream, ask("Hello", continuation=Continuation()), account)
    await upstream.aclose()
    (gone,) = await sandbox.journal("chats.delete")
    assert gone["chat_id"] != kept[0].chat


async def test_a_client_that_leaves_frees_the_connection(upstream, account, sandbox, transport):
    await sandbox.fault("stall", endpoint="completions", after=2)
    events = upstream.stream(ask("Tell me about rivers."), account, None)
    async with aclosing(events):
        async for event in events:
            if isinstance(event, TextDelta):
                break
    await all_idle(transport)


async def test_models_are_read_from_the_list(upstream, account):
    models = {model.id: model for model in await upstream.models(account)}
    assert models["qwen3-vl-plus"].vision
    assert "t2v" in models["qwen3-vl-plus"].chat_types
    assert models["qwen3-vl-plus"].context_length > 0


async def test_models_fall_back_to_the_configured_list(make_upstream, account, sandbox):
    upstream = make_upstream(sandbox.url, fallback_models=("qwen-max-latest",))
    await sandbox.fault("captcha_html", endpoint="models")
    assert [model.id for model in await upstream.models(account)] == ["qwen-max-latest"]


async def test_no_cookie_of_one_account_reaches_another(upstream, account, other_account, sandbox):
    for who in (account, other_account, account):
        await listen(upstream, ask("Hello"), who)
    for entry in await sandbox.journal():
        assert entry["cookies"] == {}, entry
        assert entry["carriers"] == ["bearer"]


async def test_the_token_travels_as_the_operator_wants(make_upstream, account, sandbox):
    for carrier, seen in (("bearer", ["bearer"]), ("cookie", ["cookie"]), ("both", ["bearer", "cookie"])):
        await listen(make_upstream(sandbox.url, token_carrier=carrier), ask("Hello"), account)
        assert (await sandbox.journal("completions"))[-1]["carriers"] == seen


async def finished(upstream, task, account):
    while (state := await upstream.poll(task, account)).status == "running":
        await asyncio.sleep(0.05)
    return state


async def test_a_video_is_prepared_ordered_once_and_polled_to_its_end(upstream, account, sandbox):
    request = ask("Waves", "t2v", size="16:9")
    assert upstream.mode(request) is Mode.TASK
    prepared = await upstream.prepare(request, account, None)
    assert await upstream.reconcile(prepared, account) is None
    task = await upstream.submit(request, prepared, account)
    assert task.thread.chat == prepared.thread.chat
    assert (await upstream.poll(task, account)).status == "running"
    state = await finished(upstream, task, account)
    assert state.status == "completed"
    assert state.media[0].private
    assert (await sandbox.get(state.media[0].url)).headers["content-type"] == "video/mp4"
    assert len(await sandbox.journal("completions")) == 1
    assert not await upstream.cancel(task, account)


async def test_a_lost_order_is_found_again_in_its_chat(upstream, account, sandbox):
    request = ask("Waves", "t2v")
    prepared = await upstream.prepare(request, account, None)
    await sandbox.fault("lost_answer", endpoint="completions")
    with pytest.raises(GatewayError) as caught:
        await upstream.submit(request, prepared, account)
    assert caught.value.sent
    prepared = msgspec.structs.replace(prepared, thread=Thread(prepared.thread.chat, "earlier"))
    task = await upstream.reconcile(prepared, account)
    assert task is not None
    assert task.thread == prepared.thread, "the chat must go on from where it was, not from its beginning"
    assert (await finished(upstream, task, account)).status == "completed"


async def test_an_older_video_of_the_chat_is_not_taken_for_the_lost_one(upstream, account, sandbox):
    request = ask("Waves", "t2v")
    first = await upstream.prepare(request, account, None)
    older = await upstream.submit(request, first, account)
    prepared = await upstream.prepare(request, account, first.thread)
    assert await upstream.reconcile(prepared, account) is None
    newer = await upstream.submit(request, msgspec.structs.replace(prepared, thread=older.thread), account)
    assert (await upstream.reconcile(prepared, account)).id == newer.id


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        ("daily_limit", False),
        ("unauthorized_401", False),
        ("captcha_json", False),
        ("captcha_html", False),
        ("data_inspection_failed", False),
        ("chat_in_progress", False),
        ("server_error", True),
        ("gateway_timeout", True),
        ("internal_error", True),
        ("empty_body", True),
    ],
)
async def test_an_order_says_whether_it_may_have_been_taken(upstream, account, sandbox, kind, sent):
    request = ask("Waves", "t2v")
    prepared = await upstream.prepare(request, account, None)
    await sandbox.fault(kind, endpoint="completions")
    with pytest.raises(GatewayError) as caught:
        await upstream.submit(request, prepared, account)
    assert caught.value.sent is sent
    assert len(await sandbox.journal("completions")) == 1


async def test_a_failed_video_says_why(upstream, account, sandbox):
    await sandbox.fault("task_fails", endpoint="completions")
    request = ask("Waves", "t2v")
    task = await upstream.submit(request, await upstream.prepare(request, account, None), account)
    state = await finished(upstream, task, account)
    assert (state.status, state.error_code) == ("failed", "task_failed")
    assert state.error_message == "The video could not be made."


async def test_a_video_is_its_creators_alone(upstream, account, other_account):
    request = ask("Waves", "t2v")
    prepared = await upstream.prepare(request, account, None)
    task = await upstream.submit(request, prepared, account)
    assert (await upstream.poll(task, other_account)).status == "missing"
    assert await upstream.reconcile(prepared, other_account) is None
    with pytest.raises(NotFound):
        await upstream.prepare(request, other_account, prepared.thread)


@pytest.mark.parametrize("name", ["notes.txt", "кот a+b%20.txt", "a/b.txt", "雨 & 1?.txt"])
async def test_an_uploaded_file_is_read_by_the_chat(upstream, account, sandbox, name):
    content = "The password of the day is marzipan."

    async def pieces():
        yield content[:5].encode()
        yield content[5:].encode()

    stored = StoredFile(
        id="f1", owner="alice", name=name, size=len(content), media_type="text/plain", created=0
    )
    uploaded = await upstream.upload(stored, pieces(), account)
    entry = msgspec.json.decode(uploaded.reference)
    assert (await sandbox.get(entry["url"])).text == content
    part = MediaPart("file", file_id="f1", uploaded=uploaded)
    message = Message("user", (TextPart("What does the file say?"), part))
    result: GenerationResult = await collect(upstream.stream(ask("", messages=(message,)), account, None))
    assert "marzipan" in result.choices[0].text


async def test_an_upload_of_the_wrong_length_is_an_error(upstream, account):
    async def pieces():
        yield b"too short"

    stored = StoredFile(id="f1", owner="alice", name="a.png", size=100, media_type="image/png", created=0)
    with pytest.raises(GatewayError):
        await upstream.upload(stored, pieces(), account)


@pytest.mark.parametrize(
    ("request_", "mode"),
    [
        (ask("x"), Mode.STREAM),
        (ask("x", count=2), None),
        (ask("x", "t2i"), Mode.STREAM),
        (ask("x", "t2i", size="3:4"), Mode.STREAM),
        (ask("x", "t2i", size="1024x1024"), None),
        (ask("x", "t2v", size="21:9"), None),
        (ask("x", "t2v", size="9:16"), Mode.TASK),
        (ask("x", "slides"), None),
    ],
)
async def test_what_is_served_how(upstream: QwenChatUpstream, request_, mode):
    assert upstream.mode(request_) is mode
