"""What the dialect tests share: calls, replies, and the goldens' vocabulary."""

import json
from pathlib import Path
from typing import Any

from gateway.dialects.base import Call, Dialect, FormPart, MediaRef
from gateway.dialects.native.dialect import NativeDialect
from gateway.dialects.openai.chat import OpenAIChatDialect
from gateway.dialects.openai.files import OpenAIFilesDialect
from gateway.dialects.openai.images import OpenAIImagesDialect
from gateway.dialects.openai.models import OpenAIModelsDialect
from gateway.dialects.openai.videos import OpenAIVideosDialect
from gateway.generation.requests import GenerationRequest, Message, TextPart
from gateway.generation.results import GenerationResult, Reply

GOLDEN = Path(__file__).parent / "golden"
NATIVE = NativeDialect()
CHAT = OpenAIChatDialect()
IMAGES = OpenAIImagesDialect()
VIDEOS = OpenAIVideosDialect()
FILES = OpenAIFilesDialect()
MODELS = OpenAIModelsDialect()
DIALECTS: tuple[Dialect, ...] = (NATIVE, CHAT, IMAGES, VIDEOS, FILES, MODELS)

REQUEST = GenerationRequest(chat_type="t2t", messages=(Message("user", (TextPart("Tell me a story."),)),))
REPLY = Reply(
    id="0f" * 16,
    created=1771318618,
    model="qwen3-vl-plus",
    chat_id="c1",
    base_url="http://gw.test:3264/",
    request_id="req-1",
)


def call(
    dialect: Dialect,
    path: str,
    body: Any = None,
    *,
    form: dict[str, str] | None = None,
    files: dict[str, bytes] | None = None,
    **values: str,
) -> Call:
    """Make a POST call to a route of the dialect, with JSON (or raw bytes) or with a form."""
    route = next(route for route in dialect.routes if (route.method, route.path) == ("POST", path))
    parts = [FormPart(name, value.encode()) for name, value in (form or {}).items()]
    parts += [FormPart(name, data, "a b.png", "image/png") for name, data in (files or {}).items()]
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return Call(route=route, path=values, body=raw, parts=tuple(parts))


def answer(
    dialect: Dialect, request: GenerationRequest, result: GenerationResult, reply: Reply = REPLY
) -> Any:
    """Return a whole answer, with `b64:<url>` where a medium's base64 goes."""
    pieces = dialect.encode_result(request, reply, result)
    texts = [f"b64:{piece.media.url}".encode() if isinstance(piece, MediaRef) else piece for piece in pieces]
    return json.loads(b"".join(texts))


def frames(raw: bytes) -> list[tuple[str, Any]]:
    """Split server-sent frames into (event name, decoded data); the end mark stays a text."""
    assert raw == b"" or raw.endswith(b"\n\n")
    found = []
    for frame in raw.decode().split("\n\n")[:-1]:
        lines = dict(line.split(": ", 1) for line in frame.split("\n"))
        assert lines.keys() <= {"event", "data"}
        data = lines["data"]
        found.append((lines.get("event", ""), data if data == "[DONE]" else json.loads(data)))
    return found
