"""Chat chunks: one stream of events as OpenAI's server-sent frames.

Everything but the text of a chunk is the same for a whole stream, so it is encoded once; the property
tests hold that the bytes are those of a full encoding.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.dialects.frames import DONE, frame
from gateway.dialects.media_urls import media_url
from gateway.dialects.openai.chat_completion import finish_reason
from gateway.dialects.openai.errors import encode_error
from gateway.dialects.token_usage import count_tokens
from gateway.generation.errors import GatewayError
from gateway.generation.events import (
    AnyEvent,
    Finish,
    FinishReason,
    Media,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from gateway.generation.requests import GenerationRequest
from gateway.generation.results import Reply

__all__ = ["ChatChunkEncoder"]

_encode = msgspec.json.Encoder().encode
_CHOICES: Final = b'"choices":[]'
_TEXT_END: Final = b'},"logprobs":null,"finish_reason":null}'


class ChatChunkEncoder:
    """Writes chat chunks: role, deltas, a finish for each choice, usage if asked for, the end mark.

    `edge` holds fields of ours for the first and the last chunk of the stream.
    """

    def __init__(
        self, request: GenerationRequest, reply: Reply, answer_id: str, edge: Mapping[str, Any] | None = None
    ) -> None:
        self._request = request
        self._reply = reply
        self._edge = dict(edge or {})
        self._envelope: dict[str, Any] = {
            "id": answer_id,
            "object": "chat.completion.chunk",
            "created": reply.created,
            "model": reply.model,
            "choices": [],
        }
        if request.delivery.include_usage:
            self._envelope["usage"] = None
        self._start, self._end = frame(_encode(self._envelope)).split(_CHOICES)
        self._text_end = _TEXT_END + b"]" + self._end
        self._text_starts: dict[int, bytes] = {}
        self._calls: set[tuple[int, int]] = set()
        self._usage: Usage | None = None
        self._size = 0
        self._closed = False

    def encode(self, event: AnyEvent) -> bytes:
        """Return the frames of one event, b"" for those that leave no trace in a chat."""
        if type(event) is TextDelta and event.extra is None:
            start = self._text_starts.get(event.index)
            if start is not None:
                text = _encode(event.text)
                self._size += len(text)
                return start + text + self._text_end
        return b"" if self._closed else self._encode_rare(event)

    def encode_error(self, error: GatewayError) -> bytes:
        """Return the frame that ends a broken stream; no end mark follows."""
        return self._close(frame(self._error_body(error)))

    def _encode_rare(self, event: AnyEvent) -> bytes:
        match event:
            case TextDelta():
                return self._encode_delta(event.index, {"content": event.text}, event.extra)
            case ReasoningDelta():
                return self._encode_delta(event.index, {"reasoning_content": event.text})
            case ToolCallDelta():
                return self._encode_call(event)
            case Media():
                return self._encode_delta(0, {"content": media_url(event, self._reply.base_url) + "\n"})
            case Usage():
                self._usage = event
                return b""
            case Finish():
                return self._close(self._encode_finish(event))
        return b""

    def _encode_delta(self, index: int, delta: dict[str, Any], extra: dict[str, Any] | None = None) -> bytes:
        self._size += sum(len(_encode(value)) for value in delta.values())
        return self._open(index) + self._chunk(index, delta, extra=extra)

    def _encode_call(self, event: ToolCallDelta) -> bytes:
        call: dict[str, Any] = {"index": event.call}
        function = {"arguments": event.arguments}
        if (event.index, event.call) not in self._calls:
            self._calls.add((event.index, event.call))
            call |= {"id": event.id, "type": "function"}
            function = {"name": event.name, "arguments": event.arguments}
        return self._encode_delta(event.index, {"tool_calls": [call | {"function": function}]})

    def _encode_finish(self, event: Finish) -> bytes:
        opening = b"" if self._text_starts else self._open(0)
        indices = sorted(self._text_starts)
        fields = dict(event.extra or {})
        chunks = [
            self._chunk(
                index,
                {},
                self._reason(event, index),
                fields=fields | self._edge if index == indices[-1] else fields,
            )
            for index in indices
        ]
        return b"".join([opening, *chunks, self._encode_usage(), DONE])

    def _encode_usage(self) -> bytes:
        if not self._request.delivery.include_usage:
            return b""
        return frame(
            _encode(self._envelope | {"usage": count_tokens(self._request, self._usage, self._size)})
        )

    def _reason(self, event: Finish, index: int) -> FinishReason:
        reason = event.reasons[index] if index < len(event.reasons) else event.reason
        return finish_reason(reason, has_calls=any(choice == index for choice, _ in self._calls))

    def _open(self, index: int) -> bytes:
        """Return the role chunk of a choice before its first delta."""
        if index in self._text_starts:
            return b""
        edge = {} if self._text_starts else self._edge
        self._text_starts[index] = b'%b"choices":[{"index":%d,"delta":{"content":' % (self._start, index)
        return self._chunk(index, {"role": "assistant", "content": ""}, fields=edge)

    def _chunk(
        self,
        index: int,
        delta: dict[str, Any],
        reason: FinishReason | None = None,
        *,
        extra: Mapping[str, Any] | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason, **(extra or {})}
        return frame(_encode({**self._envelope, "choices": [choice], **(fields or {})}))

    def _error_body(self, error: GatewayError) -> bytes:
        return encode_error(error)

    def _close(self, last: bytes) -> bytes:
        self._closed = True
        self._text_starts = {}
        return last
