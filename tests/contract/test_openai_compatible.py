from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.generation.requests import Delivery, GenerationRequest, Message, TextPart
from gateway.plugin_api.testing import Received, UpstreamConformance, reply, serve, stream_reply
from gateway_openai_compatible import OpenAICompatibleUpstream

STREAM = (Path(__file__).parents[1] / "golden" / "openai_compatible" / "text.stream").read_bytes()
WHOLE = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}'
PROMPT = (Message("user", (TextPart("Hi"),)),)


def answer(received: Received) -> bytes | list[bytes]:
    assert received.headers["authorization"] == "Bearer conformance-token"
    if received.path == "/v1/models":
        return reply(200, b'{"object":"list","data":[{"id":"a","object":"model"},{"id":"b"}]}')
    if received.path == "/v1/images/generations":
        return reply(200, b'{"created":1,"data":[{"url":"https://example.test/a.png"}]}')
    if b'"stream":true' in received.body:
        return stream_reply(*(STREAM[at : at + 50] for at in range(0, len(STREAM), 50)))
    return reply(200, WHOLE)


class TestOpenAICompatibleUpstream(UpstreamConformance):
    plugin = OpenAICompatibleUpstream
    requests = (
        GenerationRequest(chat_type="t2t", model="a", messages=PROMPT, delivery=Delivery(stream=True)),
        GenerationRequest(chat_type="t2t", model="a", messages=PROMPT),
        GenerationRequest(chat_type="t2i", model="a", messages=PROMPT, size="16:9"),
    )

    @asynccontextmanager
    async def provider(self) -> AsyncGenerator[dict[str, Any], None]:
        async with serve(answer) as wire:
            yield {"base_url": f"{wire.url}/v1", "chat_types": ["t2t", "t2i"]}
