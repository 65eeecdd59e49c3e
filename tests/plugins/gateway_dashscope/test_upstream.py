"""Over real sockets: chats, pictures, films, and every way in which the provider refuses."""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from gateway.generation.errors import (
    AccountRejected,
    BurstLimited,
    ContentRefused,
    GatewayError,
    InvalidAnswer,
    InvalidRequest,
    ModelNotFound,
    QuotaExhausted,
    UpstreamTimeout,
    UpstreamUnavailable,
    UpstreamUnreachable,
)
from gateway.generation.events import AnyEvent, Finish, Media, TextDelta, Usage
from gateway.generation.requests import Delivery, GenerationRequest, MediaPart, Message, TextPart
from gateway.plugin_api import Account, Mode, Secret, UpstreamContext, UpstreamTask
from gateway.plugin_api.testing import Received, reply, serve
from gateway.transport import Transport
from gateway_dashscope import DashScopeSettings, DashScopeUpstream
from gateway_dashscope.tasks import wire_time
from tests.plugins.gateway_dashscope.cloud import RESULT, Cloud, native, refusal

pytestmark = pytest.mark.anyio

ACCOUNT = Account(upstream="cloud", id="a", secret=Secret("sk-canary-1"))
CAT = (Message("user", (TextPart("a cat"),)),)
CHAT = GenerationRequest(chat_type="t2t", model="qwen-plus", messages=CAT)
PICTURE = GenerationRequest(chat_type="t2i", model="qwen-image", messages=CAT, size="1:1")
QUEUED = replace(PICTURE, model="wan2.2-t2i-flash")
FILM = GenerationRequest(chat_type="t2v", model="wan2.5-t2v-preview", messages=CAT, size="16:9")


@asynccontextmanager
async def upstream_of(
    answer: Callable[[Received], Any], **settings: Any
) -> AsyncGenerator[DashScopeUpstream, None]:
    transport = Transport()
    async with serve(answer) as wire:
        if isinstance(owner := getattr(answer, "__self__", None), Cloud):
            owner.url = wire.url
        table = DashScopeSettings(base_url=wire.url, **settings)
        context = UpstreamContext(name="cloud", transport=transport, data_dir=Path())
        yield await DashScopeUpstream.create(table, context)
    await transport.aclose()


async def call(upstream: DashScopeUpstream, request: GenerationRequest) -> list[AnyEvent]:
    async with aclosing(upstream.stream(request, ACCOUNT, None)) as events:
        return [event async for event in events]


async def order(upstream: DashScopeUpstream, request: GenerationRequest) -> UpstreamTask:
    return await upstream.submit(request, await upstream.prepare(request, ACCOUNT, None), ACCOUNT)


async def test_a_chat_is_always_streamed_with_its_usage() -> None:
    cloud = Cloud()
    async with upstream_of(cloud.answer, workspace="ws-1") as upstream:
        events = await call(upstream, replace(CHAT, extra={"enable_search": True}))
    assert [event for event in events if isinstance(event, TextDelta)] == [
        TextDelta("Hello"),
        TextDelta(", 世界 👋"),
    ]
    [(_, body, headers)] = cloud.orders
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})
    assert (body["model"], body["enable_search"]) == ("qwen-plus", True)
    assert headers["x-dashscope-workspace"] == "ws-1"
    assert "x-dashscope-async" not in headers


async def test_a_picture_comes_at_once() -> None:
    cloud = Cloud()
    async with upstream_of(cloud.answer) as upstream:
        [picture, usage, end] = await call(upstream, PICTURE)
    assert picture == Media("image", f"{RESULT}/0.png?Expires=1&Signature=s", width=1328, height=1328)
    assert (usage, end) == (Usage(media=1, width=1328, height=1328), Finish())
    assert "x-dashscope-async" not in cloud.orders[0][2]


@pytest.mark.parametrize(
    ("request_", "mode"),
    [
        (CHAT, Mode.STREAM),
        (replace(CHAT, model="unheard-of"), Mode.STREAM),
        (replace(CHAT, model="qwen-image"), None),
        (PICTURE, Mode.STREAM),
        (replace(PICTURE, delivery=Delivery(background=True)), Mode.TASK),
        (replace(PICTURE, model="qwen-image-max", delivery=Delivery(background=True)), Mode.STREAM),
        (QUEUED, Mode.TASK),
        (replace(PICTURE, model="qwen-plus"), None),
        (FILM, Mode.TASK),
        (replace(FILM, model="qwen-image"), None),
    ],
)
async def test_each_model_works_its_own_way(request_: GenerationRequest, mode: Mode | None) -> None:
    async with upstream_of(Cloud().answer) as upstream:
        assert upstream.mode(request_) is mode


@pytest.mark.parametrize("request_", [QUEUED, FILM, replace(PICTURE, model="wan2.6-t2i", count=3)])
async def test_a_task_from_its_order_to_its_end(request_: GenerationRequest) -> None:
    cloud = Cloud()
    cloud.running = 2
    async with upstream_of(cloud.answer) as upstream:
        task = await order(upstream, request_)
        states = [await upstream.poll(task, ACCOUNT) for _ in range(3)]
    assert [state.status for state in states] == ["running", "running", "completed"]
    assert len(states[-1].media) == request_.count
    assert cloud.orders[0][2]["x-dashscope-async"] == "enable"


async def test_a_failure_in_the_queue_and_a_task_that_nobody_knows() -> None:
    cloud = Cloud()
    cloud.fail = {"code": "DataInspectionFailed", "message": "no"}
    async with upstream_of(cloud.answer) as upstream:
        task = await order(upstream, FILM)
        await upstream.poll(task, ACCOUNT)
        state = await upstream.poll(task, ACCOUNT)
        assert (state.status, state.error_code) == ("failed", "content_filter")
        assert (await upstream.poll(UpstreamTask("nobodys"), ACCOUNT)).status == "missing"


async def test_only_a_waiting_task_can_be_stopped() -> None:
    async with upstream_of(Cloud().answer) as upstream:
        task = await order(upstream, FILM)
        assert await upstream.cancel(task, ACCOUNT)
        assert (await upstream.poll(task, ACCOUNT)).error_code == "cancelled"
        running = await order(upstream, FILM)
        await upstream.poll(running, ACCOUNT)
        assert not await upstream.cancel(running, ACCOUNT)


async def test_a_cancel_that_goes_wrong_is_no_answer() -> None:
    async with upstream_of(lambda _: native(500, code="InternalError", message="x")) as upstream:
        with pytest.raises(UpstreamUnavailable):
            await upstream.cancel(UpstreamTask("t"), ACCOUNT)


# ------------------------------------------------------------------ lost orders


def films(*prompts: str) -> list[GenerationRequest]:
    return [replace(FILM, messages=(Message("user", (TextPart(prompt),)),)) for prompt in prompts]


async def lose(upstream: DashScopeUpstream, cloud: Cloud, request: GenerationRequest) -> Any:
    """Order, and lose the answer on its way."""
    prepared = await upstream.prepare(request, ACCOUNT, None)
    cloud.lose = True
    with pytest.raises(UpstreamUnreachable) as caught:
        await upstream.submit(request, prepared, ACCOUNT)
    assert caught.value.sent
    cloud.lose = False
    return prepared


async def test_a_lost_order_is_found_by_its_own_prompt_once_that_is_shown() -> None:
    cloud = Cloud()
    mine, other = films("waves", "hills")
    async with upstream_of(cloud.answer) as upstream:
        await order(upstream, other)
        prepared = await lose(upstream, cloud, mine)
        assert await upstream.reconcile(prepared, ACCOUNT) is None
        found = await upstream.reconcile(prepared, ACCOUNT)
        assert found is not None
        assert cloud.tasks[found.id]["body"]["input"]["prompt"] == "waves"
        assert len(cloud.orders) == 2


async def test_an_order_alone_in_the_list_is_not_taken_before_it_shows_its_prompt() -> None:
    cloud = Cloud()
    cloud.running = 3
    (mine,) = films("waves")
    async with upstream_of(cloud.answer) as upstream:
        prepared = await lose(upstream, cloud, mine)
        found = [await upstream.reconcile(prepared, ACCOUNT) for _ in range(4)]
    assert [task is not None for task in found] == [False, False, False, True]


async def test_what_is_not_certain_is_not_taken() -> None:
    cloud = Cloud()
    cloud.running = 0
    mine, other = films("waves", "hills")
    async with upstream_of(cloud.answer) as upstream:
        never_sent = await upstream.prepare(mine, ACCOUNT, None)
        await order(upstream, other)
        assert await upstream.reconcile(never_sent, ACCOUNT) is None
        prepared = await lose(upstream, cloud, mine)
        assert await upstream.reconcile(prepared, ACCOUNT) is not None
        twin = await order(upstream, mine)
        assert await upstream.reconcile(prepared, ACCOUNT) is None
        del cloud.tasks[twin.id]
        for _ in range(25):
            await order(upstream, other)
        assert await upstream.reconcile(prepared, ACCOUNT) is None


async def test_a_task_of_another_time_or_model_is_not_looked_at() -> None:
    cloud = Cloud()
    cloud.running = 0
    (mine,) = films("waves")
    async with upstream_of(cloud.answer) as upstream:
        await order(upstream, replace(mine, model="wan2.6-t2v"))
        prepared = await upstream.prepare(mine, ACCOUNT, None)
        early = json.loads(prepared.reference)
        late = replace(prepared, reference=json.dumps(early | {"since": early["since"] + 3600}))
        await order(upstream, mine)
        assert await upstream.reconcile(late, ACCOUNT) is None
        assert await upstream.reconcile(prepared, ACCOUNT) is not None


async def test_a_long_prompt_is_known_by_what_the_provider_kept_of_it() -> None:
    cloud = Cloud()
    cloud.running = 0
    (mine,) = films("w" * 900)
    async with upstream_of(cloud.answer) as upstream:
        prepared = await lose(upstream, cloud, mine)
        for kept, certain in ((800, True), (799, False)):
            next(iter(cloud.tasks.values()))["body"]["input"]["prompt"] = "w" * kept
            assert (await upstream.reconcile(prepared, ACCOUNT) is not None) is certain


def test_times_are_chinas_and_say_no_zone() -> None:
    assert wire_time(1767323045.9) == "20260102110405"


# ------------------------------------------------------------------ attachments


def pasted(data: bytes) -> Message:
    url = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    return Message("user", (TextPart("a cat"), MediaPart("image", url)))


@pytest.mark.parametrize("chat_type", ["t2t", "t2i", "t2v"])
async def test_a_large_picture_goes_to_the_storage_and_a_small_one_with_the_call(chat_type: str) -> None:
    cloud = Cloud()
    models = {"t2t": "qwen3-vl-plus", "t2i": "qwen-image-edit", "t2v": "wan2.6-i2v"}
    large, small = b"\x89PNG" + bytes(3000), b"\x89PNG"
    async with upstream_of(cloud.answer, inline_mb=0.001) as upstream:
        for data in (large, small):
            request = GenerationRequest(
                chat_type=chat_type, model=models[chat_type], messages=(pasted(data),)
            )
            if upstream.mode(request) is Mode.TASK:
                await order(upstream, request)
            else:
                await call(upstream, request)
    [(key, stored)] = cloud.stored.items()
    assert stored == large
    assert key.startswith(f"dashscope-instant/{models[chat_type]}/")
    (_, first, headers), (_, second, plain) = cloud.orders
    assert f"oss://{key}" in json.dumps(first)
    assert headers["x-dashscope-ossresourceresolve"] == "enable"
    assert "data:image/png;base64,iVBORw==" in json.dumps(second)
    assert "x-dashscope-ossresourceresolve" not in plain


async def test_a_storage_that_refuses_costs_no_order() -> None:
    cloud = Cloud()
    request = replace(FILM, model="wan2.6-i2v", messages=(pasted(bytes(3000)),))
    async with upstream_of(cloud.answer, inline_mb=0.001) as upstream:
        for status, kind in ((403, InvalidAnswer), (503, UpstreamUnavailable)):
            cloud.storage_status = status
            with pytest.raises(kind) as caught:
                await upstream.prepare(request, ACCOUNT, None)
            assert not caught.value.sent
        broken = Message("user", (TextPart("x"), MediaPart("image", "data:image/png;base64," + "*" * 5000)))
        with pytest.raises(InvalidRequest):
            await upstream.prepare(replace(request, messages=(broken,)), ACCOUNT, None)
    assert cloud.orders == []


async def test_what_the_model_or_the_storage_does_not_take_is_not_stored() -> None:
    cloud = Cloud()
    cloud.most_mb = 0.001
    film = replace(FILM, model="wan2.6-i2v", messages=(pasted(bytes(3000)),))
    async with upstream_of(cloud.answer, inline_mb=0.001) as upstream:
        for request, param in ((film, "messages"), (replace(film, seconds=7), "seconds")):
            with pytest.raises(InvalidRequest) as caught:
                await upstream.prepare(request, ACCOUNT, None)
            assert caught.value.param == param
    assert cloud.stored == {}


# ------------------------------------------------------------------ refusals

_NATIVE = [
    (400, "InvalidParameter", InvalidRequest),
    (400, "DataInspectionFailed", ContentRefused),
    (400, "IPInfringementSuspect", ContentRefused),
    (400, "Arrearage", QuotaExhausted),
    (401, "InvalidApiKey", AccountRejected),
    (403, "AccessDenied", QuotaExhausted),
    (403, "AccessDenied.Unpurchased", QuotaExhausted),
    (403, "AllocationQuota.FreeTierOnly", QuotaExhausted),
    (404, "ModelNotFound", ModelNotFound),
    (429, "Throttling", BurstLimited),
    (429, "Throttling.RateQuota", BurstLimited),
    (429, "Throttling.AllocationQuota", BurstLimited),
    (500, "InternalError", UpstreamUnavailable),
    (500, "InternalError.Timeout", UpstreamTimeout),
    (503, "ServiceUnavailable", UpstreamUnavailable),
    (503, "ModelServingError", UpstreamUnavailable),
]
_COMPATIBLE = [
    (401, "invalid_api_key", AccountRejected),
    (404, "model_not_found", ModelNotFound),
    (400, "invalid_parameter_error", InvalidRequest),
    (400, "data_inspection_failed", ContentRefused),
    (429, "limit_requests", BurstLimited),
    (429, "insufficient_quota", QuotaExhausted),
    (403, "AllocationQuota.FreeTierOnly", QuotaExhausted),
    (400, "Arrearage", QuotaExhausted),
    (500, "internal_error", UpstreamUnavailable),
    (503, "ServiceUnavailable", UpstreamUnavailable),
]


@pytest.mark.parametrize(("status", "code", "kind"), _NATIVE)
async def test_native_refusals(status: int, code: str, kind: type[GatewayError]) -> None:
    async with upstream_of(lambda _: refusal(status, code, "Because.")) as upstream:
        prepared = await upstream.prepare(FILM, ACCOUNT, None)
        for attempt in (call(upstream, PICTURE), upstream.submit(FILM, prepared, ACCOUNT)):
            with pytest.raises(GatewayError) as caught:
                await attempt
            assert type(caught.value) is kind
            assert caught.value.sent is (status >= 500)


@pytest.mark.parametrize(("status", "code", "kind"), _COMPATIBLE)
async def test_refusals_of_a_chat(status: int, code: str, kind: type[GatewayError]) -> None:
    error = {"message": "Because.", "type": code, "param": None, "code": code}
    async with upstream_of(lambda _: native(status, error=error, request_id="r")) as upstream:
        with pytest.raises(GatewayError) as caught:
            await call(upstream, CHAT)
    assert type(caught.value) is kind


async def test_the_filter_may_cut_a_chat_in_its_middle() -> None:
    cloud = Cloud()
    frame = {"error": {"message": "no", "type": "x", "code": "data_inspection_failed"}, "request_id": "r"}
    cloud.text = cloud.text[: cloud.text.index(b"data: ", 500)] + b"data: " + json.dumps(frame).encode()
    async with upstream_of(cloud.answer) as upstream:
        with pytest.raises(ContentRefused):
            await call(upstream, CHAT)


async def test_a_wrong_key_on_every_route() -> None:
    wrong = replace(ACCOUNT, secret=Secret("sk-of-another-region"))
    async with upstream_of(Cloud().answer) as upstream:
        prepared = await upstream.prepare(FILM, ACCOUNT, None)
        attempts = (
            upstream.submit(FILM, prepared, wrong),
            upstream.poll(UpstreamTask("t"), wrong),
            upstream.cancel(UpstreamTask("t"), wrong),
            upstream.reconcile(prepared, wrong),
            anext(upstream.stream(CHAT, wrong, None)),
            anext(upstream.stream(PICTURE, wrong, None)),
        )
        for attempt in attempts:
            with pytest.raises(AccountRejected) as caught:
                await attempt
            assert "sk-of-another-region" not in str(caught.value)


async def test_a_page_instead_of_an_answer_is_a_failed_poll() -> None:
    async with upstream_of(lambda _: reply(200, b"<html>", media_type="text/html")) as upstream:
        with pytest.raises(InvalidAnswer):
            await upstream.poll(UpstreamTask("t"), ACCOUNT)


async def test_a_silent_provider_is_a_time_out() -> None:
    for picture_waits, others_wait in ((0.1, 30.0), (30.0, 0.1)):
        settings = {"image_seconds": picture_waits, "control_seconds": others_wait}
        async with upstream_of(lambda _: None, **settings) as upstream:
            prepared = await upstream.prepare(FILM, ACCOUNT, None)
            drawing, ordering = call(upstream, PICTURE), upstream.submit(FILM, prepared, ACCOUNT)
            late, other = (drawing, ordering) if picture_waits < others_wait else (ordering, drawing)
            other.close()
            with pytest.raises(UpstreamTimeout) as caught:
                await asyncio.wait_for(late, 5)
            assert caught.value.sent


@pytest.mark.parametrize(
    "table",
    [
        {"base_url": "ftp://x"},
        {"base_url": "https://x/api/v1"},
        {"image_models": {"m": {}}},
        {"video_models": {"m": {"tiers": ["8K"]}}},
        {"video_models": {"m": {"tiers": []}}},
        {"image_models": {"m": {"sync": True, "size": {}}}},
    ],
)
def test_settings_that_cannot_work_are_refused(table: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(table, DashScopeSettings)


async def test_models_are_the_configured_ones() -> None:
    async with upstream_of(Cloud().answer, text_models=("a", "b-vl-c")) as upstream:
        models = {model.id: model for model in await upstream.models(ACCOUNT)}
    assert models["a"].chat_types == ("t2t",)
    assert models["b-vl-c"].vision
    assert models["qwen-image"].chat_types == ("t2i",)
    assert models["wan2.6-t2v"].chat_types == ("t2v",)
