"""Over real sockets: what goes out, what comes back, and every way in which it can go wrong."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.generation.errors import (
    AccountRejected,
    AnswerCut,
    BurstLimited,
    ContentRefused,
    ContextTooLong,
    GatewayError,
    InvalidAnswer,
    InvalidRequest,
    ModelNotFound,
    QuotaExhausted,
    RateLimited,
    TooLarge,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from gateway.generation.events import AnyEvent, Finish, Media, TextDelta, Usage
from gateway.generation.requests import (
    Continuation,
    Delivery,
    GenerationRequest,
    Message,
    TextPart,
    Tool,
)
from gateway.plugin_api import Account, Mode, Secret, UpstreamContext
from gateway.plugin_api.testing import Received, Wire, reply, serve, stream_reply
from gateway.transport import Transport
from gateway_openai_compatible import OpenAICompatibleSettings, OpenAICompatibleUpstream

pytestmark = pytest.mark.anyio

ACCOUNT = Account(upstream="local", id="a", secret=Secret("sk-canary-1"))
HELLO = GenerationRequest(chat_type="t2t", model="m", messages=(Message("user", (TextPart("Hi"),)),))
STREAMED = replace(HELLO, delivery=Delivery(stream=True))
CAT = replace(HELLO, chat_type="t2i", size="16:9")
Answer = bytes | list[bytes] | None


def frame(text: str = "", reason: str | None = None, **top: Any) -> bytes:
    delta = {"content": text} if text else {}
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return b"data: " + json.dumps({"choices": [choice], **top}).encode() + b"\n\n"


END = frame(reason="stop") + b"data: [DONE]\n\n"
WHOLE = json.dumps(
    {"choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}], "usage": {}}
).encode()


class Local:
    """An upstream and the double behind it."""

    def __init__(self, upstream: OpenAICompatibleUpstream, wire: Wire, transport: Transport) -> None:
        self.upstream, self.wire, self.transport = upstream, wire, transport

    async def call(self, request: GenerationRequest, account: Account = ACCOUNT) -> list[AnyEvent]:
        async with aclosing(self.upstream.stream(request, account, None)) as events:
            return [event async for event in events]

    @property
    def sent(self) -> Any:
        return json.loads(self.wire.requests[-1].body)


@asynccontextmanager
async def local(
    answer: Answer | Callable[[Received], Answer], **settings: Any
) -> AsyncGenerator[Local, None]:
    transport = Transport()
    async with serve(answer if callable(answer) else lambda _: answer) as wire:
        table = OpenAICompatibleSettings(base_url=f"{wire.url}/v1/", **settings)
        context = UpstreamContext(name="local", transport=transport, data_dir=Path())
        yield Local(await OpenAICompatibleUpstream.create(table, context), wire, transport)
    await transport.aclose()


@asynccontextmanager
async def behind(
    server: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncGenerator[tuple[OpenAICompatibleUpstream, Transport], None]:
    """An upstream before a server that a test has written itself."""
    transport = Transport()
    listening = await asyncio.start_server(server, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    settings = OpenAICompatibleSettings(base_url=f"http://127.0.0.1:{port}")
    context = UpstreamContext(name="local", transport=transport, data_dir=Path())
    yield await OpenAICompatibleUpstream.create(settings, context), transport
    await transport.aclose()
    listening.close()


async def test_what_goes_out() -> None:
    async with local(reply(200, WHOLE), headers={"X-Own": "1"}) as there:
        await there.call(HELLO)
        [request] = there.wire.requests
        assert (request.method, request.path) == ("POST", "/v1/chat/completions")
        assert request.headers["authorization"] == "Bearer sk-canary-1"
        assert request.headers["x-own"] == "1"
        assert request.headers["content-type"] == "application/json"
        assert there.sent == {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


async def test_a_new_secret_is_used_at_once_and_no_secret_sends_no_header() -> None:
    async with local(reply(200, WHOLE)) as there:
        await there.call(HELLO)
        await there.call(HELLO, replace(ACCOUNT, secret=Secret("sk-canary-2")))
        await there.call(HELLO, Account(upstream="local", id="b"))
        sent = [request.headers.get("authorization") for request in there.wire.requests]
        assert sent == ["Bearer sk-canary-1", "Bearer sk-canary-2", None]


@pytest.mark.parametrize(("wanted", "options"), [(True, {"include_usage": True}), (False, None)])
async def test_streams_ask_for_usage_unless_the_server_refuses_it(wanted: bool, options: Any) -> None:
    async with local(stream_reply(frame("Hi"), END), stream_usage=wanted) as there:
        assert await there.call(STREAMED) == [TextDelta("Hi"), Finish()]
        assert (there.sent["stream"], there.sent.get("stream_options")) == (True, options)


@pytest.mark.parametrize("media_type", ["application/json", "text/plain", "application/octet-stream"])
async def test_an_event_stream_under_a_wrong_media_type_is_read(media_type: str) -> None:
    async with local(stream_reply(frame("Hi"), END, media_type=media_type)) as there:
        assert await there.call(STREAMED) == [TextDelta("Hi"), Finish()]


async def test_a_whole_answer_to_a_stream_and_a_stream_to_a_whole_call() -> None:
    async with local(reply(200, b"\n " + WHOLE)) as there:
        assert await there.call(STREAMED) == [TextDelta("Hi"), Usage(), Finish()]
    async with local(stream_reply(frame("Hi"), END, media_type="text/event-stream; charset=utf-8")) as there:
        assert await there.call(HELLO) == [TextDelta("Hi"), Finish()]


async def test_connections_are_used_again_though_the_body_ends_a_little_later_than_its_events() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while head := (await reader.readuntil(b"\r\n\r\n")).lower():
                await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]))
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n")
                writer.write(b"transfer-encoding: chunked\r\n\r\n")
                for part in (frame("Hi"), END):
                    writer.write(b"%x\r\n%b\r\n" % (len(part), part))
                await asyncio.sleep(0.01)
                writer.write(b"0\r\n\r\n")
        writer.close()

    async with behind(answer) as (upstream, transport):
        for _ in range(3):
            async with aclosing(upstream.stream(STREAMED, ACCOUNT, None)) as events:
                assert [event async for event in events] == [TextDelta("Hi"), Finish()]
        assert (transport.open_connections, transport.idle_connections) == (1, 1)


async def test_a_server_that_holds_the_connection_after_done_delays_nobody() -> None:
    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + frame("Hi") + END)
        await reader.read()
        writer.close()

    async with (
        behind(hold) as (upstream, _),
        asyncio.timeout(1),
        aclosing(upstream.stream(STREAMED, ACCOUNT, None)) as events,
    ):
        assert [event async for event in events] == [TextDelta("Hi"), Finish()]


async def test_a_silent_server_meets_the_configured_deadline() -> None:
    async with local(None, first_byte_seconds=0.1) as there, asyncio.timeout(2):
        with pytest.raises(UpstreamTimeout):
            await there.call(STREAMED)


async def test_a_bad_status_counts_though_the_body_says_that_it_is_a_stream() -> None:
    async with local(stream_reply(frame("Hi"), END, status=500)) as there:
        with pytest.raises(UpstreamUnavailable):
            await there.call(STREAMED)


def error(code: Any = None, kind: str | None = None, message: str = "No.", **more: Any) -> bytes:
    return json.dumps({"error": {"message": message, "type": kind, "code": code, **more}}).encode()


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, error("invalid_value", param="top_p"), InvalidRequest),
        (400, error("context_length_exceeded"), ContextTooLong),
        (400, error("content_filter"), ContentRefused),
        (400, error("data_inspection_failed"), ContentRefused),
        (400, error("Arrearage"), QuotaExhausted),
        (400, b"<html>", InvalidRequest),
        (401, error("invalid_api_key"), AccountRejected),
        (401, b"", AccountRejected),
        (402, error(), QuotaExhausted),
        (403, error(), AccountRejected),
        (403, error("AllocationQuota.FreeTierOnly"), QuotaExhausted),
        (404, error("model_not_found"), ModelNotFound),
        (404, error(None, "api_error", 'model "x" not found'), ModelNotFound),
        (404, b'{"message":"No such model.","type":"NotFoundError","code":404}', ModelNotFound),
        (404, b'{"detail":"Not Found"}', InvalidAnswer),
        (404, b"404 page not found", InvalidAnswer),
        (408, b"", UpstreamTimeout),
        (413, b"", TooLarge),
        (422, b'{"detail":[{"loc":["body"]}]}', InvalidRequest),
        (429, error("rate_limit_exceeded"), BurstLimited),
        (429, error("insufficient_quota"), QuotaExhausted),
        (429, error(None, "insufficient_quota"), QuotaExhausted),
        (429, b"slow down", BurstLimited),
        (500, error("internal_error"), UpstreamUnavailable),
        (503, b"<html>", UpstreamUnavailable),
        (504, b"", UpstreamTimeout),
        (302, b"", InvalidAnswer),
        (200, error("insufficient_quota"), QuotaExhausted),
        (200, error(429), BurstLimited),
        (200, error("500"), UpstreamUnavailable),
        (200, error(None, "invalid_request_error"), InvalidRequest),
        (200, b'{"error":"Something broke."}', UpstreamUnavailable),
        (200, b'{"object":"error","message":"Bad.","type":"BadRequestError","code":400}', InvalidRequest),
        (200, b"<html>Please log in</html>", InvalidAnswer),
        (200, b"", InvalidAnswer),
        (200, b'{"choices":', InvalidAnswer),
        (200, b'{"choices":[]}', AnswerCut),
    ],
)
@pytest.mark.parametrize("request_", [HELLO, STREAMED], ids=["whole", "stream"])
async def test_refusals(
    status: int, body: bytes, expected: type[GatewayError], request_: GenerationRequest
) -> None:
    async with local(reply(status, body)) as there:
        with pytest.raises(GatewayError) as caught:
            await there.call(request_)
    assert type(caught.value) is expected
    assert "canary" not in caught.value.message
    if 400 <= status < 500 and status != 408:
        assert not caught.value.sent


async def test_an_error_keeps_the_parameter_and_a_safe_message() -> None:
    message = "Bad key sk-canary-1 at https://x.test/a?sig=1 " + "and so on " * 100
    body = error("invalid_value", message=message, param="top_p")
    async with local(reply(400, body)) as there:
        with pytest.raises(InvalidRequest) as caught:
            await there.call(HELLO)
    assert caught.value.param == "top_p"
    assert caught.value.message.startswith("Bad key")
    assert len(caught.value.message) <= 500
    assert not {"canary-1", "sig=1"} & set(caught.value.message.replace("?", " ").split())


@pytest.mark.parametrize(("pause", "kind"), [("2", BurstLimited), ("7200", RateLimited)])
async def test_a_long_pause_is_a_limit_and_a_short_one_a_burst(pause: str, kind: type[GatewayError]) -> None:
    async with local(reply(429, b"{}", headers={"retry-after": pause})) as there:
        with pytest.raises(GatewayError) as caught:
            await there.call(STREAMED)
    assert type(caught.value) is kind
    assert caught.value.retry_after == float(pause)


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (b"", AnswerCut),
        (b"data: [DONE]\n\n", AnswerCut),
        (b"data: " + error("data_inspection_failed") + b"\n\n", ContentRefused),
        (b"event: error\ndata: " + error(None, "server_error") + b"\n\n", UpstreamUnavailable),
        (b"data: {\n\n", InvalidAnswer),
        (frame(reason="abort"), AnswerCut),
        (b"data: " + b"x" * 2**20 + b"\n\n", InvalidAnswer),
    ],
)
async def test_what_goes_wrong_after_the_first_text(end: bytes, expected: type[GatewayError]) -> None:
    async with (
        local(stream_reply(frame("Hi"), end), max_event_mb=1) as there,
        aclosing(there.upstream.stream(STREAMED, ACCOUNT, None)) as events,
    ):
        assert await anext(events) == TextDelta("Hi")
        with pytest.raises(GatewayError) as caught:
            await anext(events)
    assert type(caught.value) is expected


async def test_models_are_asked_for() -> None:
    listed = {"data": [{"id": "a", "max_model_len": 4096, "owned_by": "vllm"}, {"id": "b", "created": 7}]}
    async with local(reply(200, json.dumps(listed).encode())) as there:
        first, second = await there.upstream.models(ACCOUNT)
        assert (first.id, first.context_length, first.owned_by) == ("a", 4096, "vllm")
        assert (second.created, second.owned_by, second.upstream) == (7, "local", "local")
        assert (there.wire.requests[0].method, there.wire.requests[0].path) == ("GET", "/v1/models")


async def test_configured_models_need_no_call() -> None:
    async with local(None, models=("a", "b"), chat_types=("t2t", "t2i")) as there:
        models = await there.upstream.models(ACCOUNT)
        assert [(model.id, model.chat_types) for model in models] == [
            ("a", ("t2t", "t2i")),
            ("b", ("t2t", "t2i")),
        ]
        assert not there.wire.requests


async def test_mode_needs_no_call() -> None:
    tooled = replace(HELLO, tools=(Tool("f"),))
    async with local(None, models=("m",), tools=False) as there:
        mode = there.upstream.mode
        assert mode(HELLO) is Mode.STREAM
        assert mode(replace(HELLO, model="other")) is None
        assert mode(tooled) is None
        assert mode(CAT) is None
        assert mode(replace(HELLO, continuation=Continuation("chat-1"))) is Mode.STREAM
        assert not there.wire.requests
    async with local(None, chat_types=("t2i",)) as there:
        assert there.upstream.mode(replace(CAT, model="anything")) is Mode.STREAM
        assert there.upstream.mode(tooled) is None


async def test_pictures() -> None:
    body = {"data": [{"url": "https://x.test/a.png"}, {"b64_json": "AQI="}], "size": "1536x1024"}
    body |= {"output_format": "png", "usage": {"input_tokens": 3, "output_tokens": 4}}
    async with local(reply(200, json.dumps(body).encode()), chat_types=("t2i",)) as there:
        events = await there.call(replace(CAT, count=2, negative_prompt="dogs", extra={"quality": "high"}))
        assert there.wire.requests[0].path == "/v1/images/generations"
        assert there.sent == {
            "model": "m",
            "prompt": "Hi",
            "n": 2,
            "size": "1536x1024",
            "negative_prompt": "dogs",
            "quality": "high",
        }
    png = {"media_type": "image/png", "width": 1536, "height": 1024}
    assert events == [
        Media("image", url="https://x.test/a.png", **png),
        Media("image", data=b"\x01\x02", **png),
        Usage(3, 4, media=2, width=1536, height=1024),
        Finish(),
    ]


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, error("content_policy_violation"), ContentRefused),
        (400, error("moderation_blocked"), ContentRefused),
        (200, b'{"data":[{"b64_json":"!"}]}', InvalidAnswer),
        (200, b"<html>", InvalidAnswer),
        (200, b'{"data":7}', InvalidAnswer),
    ],
)
async def test_pictures_that_do_not_come(status: int, body: bytes, expected: type[GatewayError]) -> None:
    async with local(reply(status, body), chat_types=("t2i",)) as there:
        with pytest.raises(expected):
            await there.call(CAT)
