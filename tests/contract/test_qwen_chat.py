from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.generation.requests import GenerationRequest, Message, TextPart
from gateway.plugin_api.testing import Received, UpstreamConformance, reply, serve, stream_reply
from gateway_qwen_chat import QwenChatUpstream

GOLDEN = Path(__file__).parents[1] / "golden" / "qwen_chat"
TEXT, PICTURE = ((GOLDEN / f"{name}.stream").read_bytes() for name in ("t2t_text", "t2i_image"))
TASK = b'{"success":true,"data":{"messages":[{"extra":{"wanx":{"task_id":"task-1"}}}]}}'
DONE = b'{"task_status":"success","content":"https://cdn.example.test/t2v/a.mp4"}'
PROMPT = (Message("user", (TextPart("Hi"),)),)


def answer(received: Received) -> bytes | list[bytes]:
    assert received.headers["authorization"] == "Bearer conformance-token"
    assert "cookie" not in received.headers
    cookie = {"set-cookie": "acw_tc=tracking; Path=/"}
    match received.path.partition("?")[0]:
        case "/api/models":
            return reply(200, b'{"data":[{"id":"a"},{"id":"b"}]}', headers=cookie)
        case "/api/v2/chats/new":
            return reply(200, b'{"success":true,"data":{"id":"chat-1"}}', headers=cookie)
        case "/api/v1/tasks/status/task-1":
            return reply(200, DONE)
    if b'"stream":false' in received.body:
        return reply(200, TASK)
    stream = PICTURE if b'"chat_type":"t2i"' in received.body else TEXT
    return stream_reply(*(stream[at : at + 50] for at in range(0, len(stream), 50)))


class TestQwenChatUpstream(UpstreamConformance):
    plugin = QwenChatUpstream
    requests = (
        GenerationRequest(chat_type="t2t", model="a", messages=PROMPT),
        GenerationRequest(chat_type="t2i", model="a", messages=PROMPT, size="16:9"),
        GenerationRequest(chat_type="t2v", model="a", messages=PROMPT, size="9:16"),
    )

    @asynccontextmanager
    async def provider(self) -> AsyncGenerator[dict[str, Any], None]:
        async with serve(answer) as wire:
            yield {"base_url": wire.url}
