from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from gateway.generation.requests import Delivery, GenerationRequest, Message, TextPart
from gateway.plugin_api.testing import UpstreamConformance, serve
from gateway_dashscope import DashScopeUpstream
from tests.plugins.gateway_dashscope.cloud import Cloud

PROMPT = (Message("user", (TextPart("Hi"),)),)


class TestDashScopeUpstream(UpstreamConformance):
    plugin = DashScopeUpstream
    requests = (
        GenerationRequest(chat_type="t2t", model="qwen-plus", messages=PROMPT),
        GenerationRequest(chat_type="t2i", model="qwen-image", messages=PROMPT, size="16:9"),
        GenerationRequest(
            chat_type="t2i", model="wan2.6-t2i", messages=PROMPT, delivery=Delivery(background=True)
        ),
        GenerationRequest(chat_type="t2i", model="wan2.2-t2i-flash", messages=PROMPT, size="1:1"),
        GenerationRequest(chat_type="t2v", model="wan2.5-t2v-preview", messages=PROMPT, size="9:16"),
    )

    @asynccontextmanager
    async def provider(self) -> AsyncGenerator[dict[str, Any], None]:
        cloud = Cloud(key="conformance-token")
        async with serve(cloud.answer) as wire:
            yield {"base_url": wire.url}
