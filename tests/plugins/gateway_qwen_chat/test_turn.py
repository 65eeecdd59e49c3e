"""Answers that no decent server gives, byte by byte."""

import asyncio
import json
from collections.abc import Callable
from contextlib import aclosing

import pytest

import gateway_qwen_chat.turn
from gateway.generation.errors import (
    AnswerCut,
    EmptyAnswer,
    GatewayError,
    InvalidAnswer,
    NotFound,
    RateLimited,
    TaskIdMissing,
    UpstreamError,
    UpstreamUnavailable,
    UpstreamUnreachable,
    VerificationRequired,
)
from gateway.generation.events import Finish, Media, TextDelta, Thread
from gateway.generation.requests import GenerationRequest, Message, TextPart
from gateway.generation.views import StoredFile
from gateway.plugin_api import Prepared, UpstreamTask
from gateway.plugin_api.testing import Received, reply, serve, stream_reply

pytestmark = pytest.mark.anyio

CREATED = b'data: {"response.created":{"response_id":"answer-1"}}\n\n'
HI = b'data: {"choices":[{"delta":{"content":"Hi","phase":"answer"}}]}\n\n'
END = b'data: {"choices":[{"delta":{"content":"","phase":"answer","status":"finished"}}]}\n\n'
CHUNKED = b"HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def refuse(code: str, details: str = "") -> bytes:
    return reply(200, json.dumps({"success": False, "data": {"code": code, "details": details}}).encode())


def ask(chat_type: str = "t2t") -> GenerationRequest:
    messages = (Message("system", (TextPart("Be brief."),)), Message("user", (TextPart("Hi"),)))
    return GenerationRequest(chat_type=chat_type, model="a", messages=messages)


def provider(*answers: bytes | list[bytes] | None) -> Callable[[Received], bytes | list[bytes] | None]:
    """Make chats with ever new ids; answer everything else with one answer after the other."""
    chats = iter(range(99))
    rest = iter(answers)

    def answer(received: Received) -> bytes | list[bytes] | None:
        if received.path == "/api/v2/chats/new":
            return reply(200, b'{"data":{"id":"chat-%d"}}' % next(chats))
        return next(rest)

    return answer


async def listen(upstream, account, request=None, thread=None) -> list:
    async with aclosing(upstream.stream(request or ask(), account, thread)) as events:
        return [event async for event in events]


@pytest.mark.parametrize("media_type", ["application/json", "text/html", "application/octet-stream"])
async def test_a_stream_is_known_by_its_first_byte(make_upstream, account, media_type):
    pieces = [b"", b"\r\n ", b": hello\n\n", CREATED, HI, END]
    async with serve(provider(stream_reply(*pieces, media_type=media_type))) as wire:
        events = await listen(make_upstream(wire.url), account)
    assert events == [Thread("chat-0"), Thread("chat-0", "answer-1"), TextDelta("Hi"), Finish()]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'\n {"success":false,"data":{"code":"RateLimited","num":2}}', RateLimited),
        (b"\xef\xbb\xbf\n<html>Verification</html>", VerificationRequired),
        (b'{"success":true,"data":{}}', InvalidAnswer),
        (b"{", InvalidAnswer),
        (b" \n ", EmptyAnswer),
        (b"hello", EmptyAnswer),
    ],
)
@pytest.mark.parametrize("step", [1, 100])
async def test_what_is_no_stream_is_judged_as_a_whole(make_upstream, account, body, expected, step):
    pieces = [body[at : at + step] for at in range(0, len(body), step)]
    async with serve(provider(stream_reply(*pieces))) as wire:
        with pytest.raises(expected) as caught:
            await listen(make_upstream(wire.url), account)
    assert type(caught.value) is expected


async def test_the_true_status_counts_even_with_a_stream(make_upstream, account):
    answer = reply(200, CREATED + HI + END, "text/event-stream", {"x-actual-status-code": "503"})
    async with serve(provider(answer)) as wire:
        with pytest.raises(UpstreamUnavailable):
            await listen(make_upstream(wire.url), account)


async def test_a_redirect_is_never_followed(make_upstream, account):
    answer = reply(302, b"", headers={"location": "/elsewhere"})
    async with serve(provider(answer)) as wire:
        with pytest.raises(InvalidAnswer):
            await listen(make_upstream(wire.url), account)
        assert "/elsewhere" not in [request.path for request in wire.requests]


async def test_a_connection_lost_in_mid_answer_is_a_cut(make_upstream, account):
    chunk = b"%x\r\n%b\r\n" % (len(CREATED + HI), CREATED + HI)
    async with serve(provider([CHUNKED + chunk])) as wire:
        with pytest.raises(AnswerCut):
            await listen(make_upstream(wire.url), account)


async def test_a_connection_lost_after_the_answer_does_no_harm(make_upstream, account):
    chunk = b"%x\r\n%b\r\n" % (len(CREATED + HI + END), CREATED + HI + END)
    async with serve(provider([CHUNKED + chunk])) as wire:
        events = await listen(make_upstream(wire.url), account)
    assert events[-1] == Finish()


async def test_a_server_that_never_hangs_up_is_left(make_upstream, account, monkeypatch):
    monkeypatch.setattr(gateway_qwen_chat.turn, "_GRACE", 0.05)
    chunk = b"%x\r\n%b\r\n" % (len(CREATED + HI + END), CREATED + HI + END)
    async with serve(provider(CHUNKED + chunk)) as wire:
        async with asyncio.timeout(5):
            events = await listen(make_upstream(wire.url), account)
    assert events[-1] == Finish()


async def test_an_error_after_the_first_word_is_not_tried_again(make_upstream, account):
    late = b'data: {"error":"Internal error!"}\n\n'
    async with serve(provider(stream_reply(CREATED, HI, late))) as wire:
        with pytest.raises(UpstreamUnavailable):
            await listen(make_upstream(wire.url), account)
        assert len(wire.requests) == 2


async def test_a_second_try_repeats_the_first_ones_body(make_upstream, account):
    first = refuse("Bad_Request", "The chat is in progress!")
    async with serve(provider(first, stream_reply(CREATED, HI, END))) as wire:
        await listen(make_upstream(wire.url, busy_waits=(0.01,)), account)
        bodies = [json.loads(request.body) for request in wire.requests[1:]]
    assert [body["messages"][0]["content"] for body in bodies] == ["Be brief.\n\nUser: Hi"] * 2
    assert bodies[0]["chat_id"] == bodies[1]["chat_id"] == "chat-0"


async def test_a_chat_of_ours_that_is_lost_is_made_anew_once(make_upstream, account):
    gone = refuse("Bad_Request", "Chat chat-0 is not exist")
    async with serve(provider(gone, stream_reply(CREATED, HI, END))) as wire:
        events = await listen(make_upstream(wire.url), account)
    chats = [event.chat for event in events if isinstance(event, Thread)]
    assert chats == ["chat-0", "chat-1", "chat-1"]
    async with serve(provider(gone, gone)) as wire:
        with pytest.raises(InvalidAnswer):
            await listen(make_upstream(wire.url), account)


async def test_a_callers_chat_that_is_lost_is_not_found(make_upstream, account):
    async with serve(provider(refuse("Not_Found"))) as wire:
        with pytest.raises(NotFound):
            await listen(make_upstream(wire.url), account, thread=Thread("chat-9", "answer-9"))
        assert [request.path for request in wire.requests] == ["/api/v2/chat/completions?chat_id=chat-9"]


async def test_a_lost_parent_is_dropped_once(make_upstream, account):
    lost = refuse("Bad_Request", "parent_id answer-9 is not exist")
    async with serve(provider(lost, stream_reply(CREATED, HI, END), lost, lost)) as wire:
        upstream = make_upstream(wire.url)
        await listen(upstream, account, thread=Thread("chat-9", "answer-9"))
        bodies = [json.loads(request.body) for request in wire.requests]
        assert [body["parent_id"] for body in bodies] == ["answer-9", None]
        assert [body["messages"][0]["content"] for body in bodies] == ["Hi", "Be brief.\n\nUser: Hi"]
        with pytest.raises(NotFound):
            await listen(upstream, account, thread=Thread("chat-9", "answer-9"))


@pytest.mark.parametrize("answer", [b'{"data":{"id":"../admin"}}', b'{"data":{}}', b"{}"])
async def test_a_chat_without_a_usable_id_is_no_chat(make_upstream, account, answer):
    async with serve(lambda _: reply(200, answer)) as wire:
        with pytest.raises(InvalidAnswer):
            await listen(make_upstream(wire.url), account)


async def test_a_missing_endpoint_is_not_the_callers_fault(make_upstream, account):
    async with serve(lambda _: reply(404, b'{"detail":"Not Found"}')) as wire:
        with pytest.raises(UpstreamError) as caught:
            await listen(make_upstream(wire.url), account)
    assert caught.value.status == 502


@pytest.mark.parametrize(
    "stored",
    [
        {"content": "https://cdn.example.test/a.png"},
        {"content": "![a](https://cdn.example.test/a.png)"},
        {"content": "", "extra": {"image_list": [{"image": "https://cdn.example.test/a.png"}]}},
        {"content_list": [{"content": "https://cdn.example.test/a.png", "phase": "image_gen"}]},
    ],
)
async def test_a_lost_picture_is_looked_up_once(make_upstream, account, stored):
    messages = {"answer-1": stored, "other": {"content": "https://cdn.example.test/b.png"}}
    found = reply(200, json.dumps({"data": {"chat": {"history": {"messages": messages}}}}).encode())
    async with serve(provider(stream_reply(CREATED), found)) as wire:
        events = await listen(make_upstream(wire.url), account, ask("t2i"))
    pictures = [event.url for event in events if isinstance(event, Media)]
    assert pictures == ["https://cdn.example.test/a.png"]
    assert wire.requests[-1].path == "/api/v2/chats/chat-0"


@pytest.mark.parametrize("looked_up", [reply(200, b'{"data":{}}'), reply(500, b""), refuse("Not_Found")])
async def test_a_picture_that_is_nowhere_is_an_empty_answer(make_upstream, account, looked_up):
    async with serve(provider(stream_reply(CREATED), looked_up)) as wire:
        with pytest.raises(EmptyAnswer):
            await listen(make_upstream(wire.url), account, ask("t2i"))


async def test_fixed_headers_and_the_version_go_with_every_call(make_upstream, account):
    async with serve(provider(stream_reply(CREATED, HI, END))) as wire:
        await listen(make_upstream(wire.url, version="0.1.2", headers={"Origin": "https://x.test"}), account)
    for request in wire.requests:
        assert (request.headers["version"], request.headers["origin"]) == ("0.1.2", "https://x.test")
        assert request.headers["source"] == "web"
        assert len(request.headers["x-request-id"]) == 36
    assert len({request.headers["x-request-id"] for request in wire.requests}) == 2


async def order(upstream, account) -> UpstreamTask:
    prepared = await upstream.prepare(ask("t2v"), account, None)
    return await upstream.submit(ask("t2v"), prepared, account)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ([b"HTTP/1.1 200 X\r\ncontent-length: 99\r\n\r\n{"], AnswerCut),
        (reply(504, b"<html>504 Gateway Time-out</html>", "text/html"), UpstreamUnavailable),
        (reply(200, b'{"data":{"message_id":"m"}}'), TaskIdMissing),
        (reply(200, b'{"data":{"task_id":"../x"}}'), TaskIdMissing),
        (reply(200, b"data: hello\n\n"), InvalidAnswer),
        ([], UpstreamUnreachable),
    ],
)
async def test_an_order_whose_answer_is_lost_may_have_been_taken(make_upstream, account, answer, expected):
    async with serve(provider(answer)) as wire:
        with pytest.raises(expected) as caught:
            await order(make_upstream(wire.url), account)
    assert caught.value.sent
    assert len(wire.requests) == 2


async def test_the_log_shows_the_form_of_an_order_without_a_task_id(make_upstream, account, caplog):
    async with serve(provider(reply(200, b'{"data":{"message_id":"secret"}}'))) as wire:
        with pytest.raises(TaskIdMissing, match="Task ID not found in response"):
            await order(make_upstream(wire.url), account)
    assert "{data: {message_id: str}}" in caplog.text
    assert "secret" not in caplog.text


async def test_a_task_is_missing_when_both_routes_say_so(make_upstream, account):
    gone = reply(200, b'{"success":false,"data":{"code":"Not_Found","details":"Task not found"}}')
    running = reply(200, b'{"success":true,"data":{"task_status":"running"}}')
    async with serve(provider(gone, running, gone, gone)) as wire:
        upstream = make_upstream(wire.url)
        assert (await upstream.poll(UpstreamTask("t-1"), account)).status == "running"
        assert (await upstream.poll(UpstreamTask("t-1"), account)).status == "missing"
    assert [request.path for request in wire.requests[:2]] == [
        "/api/v1/tasks/status/t-1",
        "/api/v2/task/status/t-1",
    ]


@pytest.mark.parametrize("answer", [reply(502, b"<html>"), reply(200, b"<html>"), []])
async def test_a_failed_poll_is_an_error_and_no_state(make_upstream, account, answer):
    async with serve(provider(answer)) as wire:
        with pytest.raises(GatewayError):
            await make_upstream(wire.url).poll(UpstreamTask("t-1"), account)


async def test_a_chat_that_is_gone_shows_no_trace_of_an_order(make_upstream, account):
    async with serve(provider(refuse("Not_Found"))) as wire:
        assert await make_upstream(wire.url).reconcile(Prepared(thread=Thread("chat-0")), account) is None


async def test_the_account_token_never_reaches_the_file_storage(make_upstream, account):
    keys = {
        "access_key_id": "ak",
        "access_key_secret": "secret",
        "security_token": "st",
        "file_path": "user-1/file-1_a.png",
        "file_id": "file-1",
        "bucketname": "bucket",
        "region": "oss-ap-southeast-1",
    }

    def answer(received: Received) -> bytes:
        if received.method == "PUT":
            return reply(200, b"", headers={"etag": '"x"'})
        url = f"{base}/user-1/file-1_a.png?sig=1"
        return reply(200, json.dumps({"data": {**keys, "file_url": url}}).encode())

    async def content():
        yield b"abc"

    file = StoredFile(id="f", owner="o", name="a.png", size=3, media_type="image/png", created=0)
    async with serve(answer) as wire:
        base = wire.url
        uploaded = await make_upstream(wire.url, token_carrier="both").upload(file, content(), account)
    asked, put = wire.requests
    assert json.loads(asked.body) == {"filename": "a.png", "filesize": 3, "filetype": "image"}
    assert put.path == "/user-1/file-1_a.png"
    assert (put.body, put.headers["content-type"]) == (b"abc", "image/png")
    assert "/ap-southeast-1/oss/" in put.headers["authorization"]
    assert "token-a" not in str(put.headers)
    assert "cookie" not in put.headers
    entry = json.loads(uploaded.reference)
    assert (entry["file_class"], entry["file"]["user_id"], entry["id"]) == ("vision", "user-1", "file-1")
