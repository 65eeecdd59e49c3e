"""The embedded provider behind the gateway's contract: the conformance kit, and what only it can show."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from gateway.generation.events import Thread
from gateway.generation.requests import Continuation, GenerationRequest, Message, TextPart, Tool, ToolCall
from gateway.generation.results import collect
from gateway.plugin_api import Account, Secret, UpstreamContext
from gateway.plugin_api.testing import UpstreamConformance
from gateway.transport import Transport
from gateway_sandbox import SandboxSettings, SandboxUpstream

QUICK = {"first_token_seconds": 0, "tokens_per_second": 0, "image_seconds": 0, "video_seconds": 0.1}
WEATHER = Tool(
    "get_weather",
    "Current weather of a city",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


def ask(text: str, chat_type: str = "t2t", **more: Any) -> GenerationRequest:
    message = Message("user", (TextPart(text),))
    return GenerationRequest(chat_type=chat_type, **{"model": "qwen3-max", "messages": (message,), **more})


class TestSandboxUpstream(UpstreamConformance):
    plugin = SandboxUpstream
    requests = (ask("count to 3"), ask("a calm sea", "t2i", size="16:9"), ask("waves", "t2v", size="16:9"))
    embedded = True

    @asynccontextmanager
    async def provider(self) -> AsyncGenerator[dict[str, Any], None]:
        yield QUICK


@pytest.fixture
async def upstream(tmp_path):
    transport = Transport()
    context = UpstreamContext(name="sandbox", transport=transport, data_dir=tmp_path)
    upstream = await SandboxUpstream.create(SandboxSettings(**QUICK), context)
    yield upstream
    await upstream.aclose()
    await transport.aclose()


ACCOUNT = Account(upstream="sandbox", id="one", secret=Secret("sandbox-token"))


@pytest.mark.anyio
async def test_the_state_lies_in_the_data_folder(upstream, tmp_path):
    await collect(upstream.stream(ask("echo hi"), ACCOUNT, None))
    assert (tmp_path / "gateway-sandbox.db").exists()


@pytest.mark.anyio
async def test_a_tool_is_called_and_its_result_used(upstream):
    question = Message("user", (TextPart("What is the weather in Paris?"),))
    request = ask("", messages=(question,), tools=(WEATHER,))
    called = (await collect(upstream.stream(request, ACCOUNT, None))).choices[0].tool_calls[0]
    assert (called.name, called.arguments) == ("get_weather", '{"city":"Paris"}')
    said = Message("assistant", tool_calls=(ToolCall(called.id, called.name, called.arguments),))
    told = Message("tool", (TextPart('{"temperature": 22}'),), tool_call_id=called.id)
    again = ask("", messages=(question, said, told), tools=(WEATHER,))
    answer = (await collect(upstream.stream(again, ACCOUNT, None))).choices[0]
    assert "temperature is 22" in answer.text
    assert answer.tool_calls == ()


@pytest.mark.anyio
async def test_a_chat_goes_on_where_it_was(upstream):
    first = ask("remember the number 42", continuation=Continuation())
    thread = [event async for event in upstream.stream(first, ACCOUNT, None) if isinstance(event, Thread)][-1]
    second = ask("what number did I ask you to remember?", continuation=Continuation("chat"))
    assert "42" in (await collect(upstream.stream(second, ACCOUNT, thread))).choices[0].text


@pytest.mark.anyio
async def test_media_are_fetched_from_the_sandbox_and_marked_private(upstream):
    media = (await collect(upstream.stream(ask("a sea", "t2i", size="1:1"), ACCOUNT, None))).media[0]
    assert (media.private, media.width, media.height) == (True, 2048, 2048)
    async with httpx.AsyncClient(verify=False) as http:
        assert (await http.get(media.url)).content[:4] == b"\x89PNG"
