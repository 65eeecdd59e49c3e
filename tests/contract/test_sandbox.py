from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from gateway.generation.requests import Delivery, GenerationRequest, Message, TextPart
from gateway.plugin_api.testing import UpstreamConformance
from gateway_sandbox import SandboxUpstream

PROMPT = (Message("user", (TextPart("Hi"),)),)
MODEL = "qwen3-max"


class TestSandboxUpstream(UpstreamConformance):
    plugin = SandboxUpstream
    embedded = True
    requests = (
        GenerationRequest(chat_type="t2t", model=MODEL, messages=PROMPT, delivery=Delivery(stream=True)),
        GenerationRequest(chat_type="t2i", model=MODEL, messages=PROMPT, size="1:1"),
        GenerationRequest(chat_type="t2v", model=MODEL, messages=PROMPT, size="16:9"),
    )

    @asynccontextmanager
    async def provider(self) -> AsyncGenerator[dict[str, Any], None]:
        pace = ("first_token_seconds", "tokens_per_second", "image_seconds", "video_seconds")
        yield dict.fromkeys(pace, 0.0)
