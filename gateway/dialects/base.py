"""What a dialect is: one public API, bodies in, bodies out."""

import enum
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from gateway.generation.errors import GatewayError
from gateway.generation.events import AnyEvent, Media
from gateway.generation.requests import GenerationRequest
from gateway.generation.results import GenerationResult, Reply
from gateway.generation.views import View

__all__ = ["Call", "Dialect", "FormPart", "FrameEncoder", "MediaRef", "Purpose", "Route"]


class Purpose(enum.Enum):
    """What a route is for; `web` has one handler for each."""

    GENERATE = "generate"
    TASK_GET = "task_get"
    TASK_LIST = "task_list"
    TASK_CANCEL = "task_cancel"
    TASK_DELETE = "task_delete"
    TASK_EVENTS = "task_events"
    TASK_CONTENT = "task_content"
    MODEL_GET = "model_get"
    MODEL_LIST = "model_list"
    FILE_CREATE = "file_create"
    FILE_GET = "file_get"
    FILE_LIST = "file_list"
    FILE_DELETE = "file_delete"
    FILE_CONTENT = "file_content"
    CHAT_CREATE = "chat_create"


class Route(msgspec.Struct, frozen=True):
    """One public address. `path` has its parameters in braces: ``/v1/videos/{id}``.

    `body` and `answer` describe the bodies in the OpenAPI document. `forms`: multipart bodies are read too.
    `chat_type`: a list shows tasks of this chat type only.
    """

    method: str
    path: str
    purpose: Purpose
    summary: str
    body: Any = None
    answer: Any = None
    forms: bool = False
    chat_type: str = ""


class FormPart(msgspec.Struct, frozen=True):
    """One part of a multipart body; `filename` is None for plain fields."""

    name: str
    data: bytes
    filename: str | None = None
    media_type: str = ""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP call without the HTTP server: names of headers in lower case, path and query as text."""

    route: Route
    path: Mapping[str, str] = {}
    query: Mapping[str, str] = {}
    headers: Mapping[bytes, bytes] = {}
    body: bytes = b""
    parts: tuple[FormPart, ...] = ()


class MediaRef(msgspec.Struct, frozen=True):
    """A place in an encoded answer where a medium's bytes belong, as bare base64."""

    media: Media


class FrameEncoder(Protocol):
    """Turns one stream of events into server-sent frames; knows where in the stream it is.

    Where `delivery.inline_media` is asked for, a `Media` event comes with its bytes in `data`.
    """

    def encode(self, event: AnyEvent) -> bytes:
        """Return zero or more whole frames; the end marker comes with `Finish`."""
        ...

    def encode_error(self, error: GatewayError) -> bytes:
        """Return the one frame that says why the stream ends here."""
        ...


class Dialect(Protocol):
    """One public API: bodies in, bodies out. Pure functions over values."""

    name: str
    routes: Sequence[Route]

    def decode(self, call: Call) -> GenerationRequest:
        """Read a body; raises `InvalidRequest` with the field in `param`.

        For `CHAT_CREATE` the request has no messages, and the chat's name is in ``extra["name"]``.
        """
        ...

    def encoder(self, request: GenerationRequest, reply: Reply) -> FrameEncoder:
        """Return an encoder for one streamed answer."""
        ...

    def encode_result(
        self, request: GenerationRequest, reply: Reply, result: GenerationResult
    ) -> Iterable[bytes | MediaRef]:
        """Write a whole answer; a `MediaRef` stands where a medium's base64 goes."""
        ...

    def encode_view(self, view: View, reply: Reply) -> bytes:
        """Write an object or a page of objects.

        `reply.id` is "" for objects that were looked up; a task that answers a generation comes with the
        generation's own reply, and may look different.
        """
        ...

    def encode_error(self, error: GatewayError, request_id: str) -> bytes:
        """Write an error body in this API's shape."""
        ...
