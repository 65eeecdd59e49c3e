"""OpenAI's chat completions."""

from collections.abc import Iterable
from typing import Annotated, Final

import msgspec

from gateway.dialects.base import Call, FrameEncoder, MediaRef, Purpose, Route
from gateway.dialects.json_body import BodyReader, read_extra, read_object
from gateway.dialects.openai.chat_body import (
    ChatMessage,
    ChatOptions,
    FunctionDefinition,
    NamedFunction,
    NamedToolChoice,
    ToolChoiceField,
    read_delivery,
    read_messages,
    read_response_format,
    read_sampling,
    read_thinking,
    read_tool_choice,
    read_tools,
)
from gateway.dialects.openai.chat_chunks import ChatChunkEncoder
from gateway.dialects.openai.chat_completion import ChatCompletion, encode_with, write_choices
from gateway.dialects.openai.objects import OpenAIObjects
from gateway.dialects.token_usage import count_answer
from gateway.generation.requests import GenerationRequest, Tool, ToolChoice
from gateway.generation.results import GenerationResult, Reply

__all__ = ["ChatCompletionBody", "OpenAIChatDialect"]


class ChatCompletionBody(ChatOptions, frozen=True, gc=False, kw_only=True):
    """A chat. Fields that are not listed are accepted and go to providers that speak the same API."""

    model: str
    messages: list[ChatMessage]
    n: Annotated[int, msgspec.Meta(ge=1, le=128)] | None = None
    tool_choice: ToolChoiceField = None
    functions: list[FunctionDefinition] | None = None
    function_call: str | NamedFunction | None = None


_reader: Final = BodyReader(ChatCompletionBody)
# A chat template has switches that only its server knows, so they are passed on as well.
_UNDERSTOOD: Final = _reader.fields - {"chat_template_kwargs"}
_PATHS: Final = ("/v1/chat/completions", "/api/chat/completions", "/api/v1/chat/completions")


class OpenAIChatDialect(OpenAIObjects):
    """POST /v1/chat/completions, also under the native API's prefix."""

    name = "openai_chat"
    routes = tuple(
        Route(
            "POST",
            path,
            Purpose.GENERATE,
            "Answer a chat (OpenAI's chat completions)",
            ChatCompletionBody,
            ChatCompletion,
        )
        for path in _PATHS
    )

    def decode(self, call: Call) -> GenerationRequest:
        """Read a chat; raises `InvalidRequest`."""
        fields = read_object(call.body)
        body = _reader.read(call.body)
        tools = _read_tools(body) if body.tools or body.functions else ()
        return GenerationRequest(
            chat_type="t2t",
            messages=read_messages(body.messages),
            model=body.model,
            count=body.n or 1,
            tools=tools,
            tool_choice=_read_choice(body) if tools else None,
            response_format=read_response_format(body),
            sampling=read_sampling(body),
            thinking=read_thinking(body),
            delivery=read_delivery(body),
            extra=read_extra(fields, _UNDERSTOOD),
        )

    def encoder(self, request: GenerationRequest, reply: Reply) -> FrameEncoder:
        """Return an encoder of chat chunks."""
        return ChatChunkEncoder(request, reply, _answer_id(reply))

    def encode_result(
        self, request: GenerationRequest, reply: Reply, result: GenerationResult
    ) -> Iterable[bytes | MediaRef]:
        """Write a chat completion."""
        body = ChatCompletion(
            id=_answer_id(reply),
            created=reply.created,
            model=reply.model,
            choices=write_choices(result, reply.base_url),
            usage=count_answer(request, result),
        )
        return (encode_with(body, result.extra),)


def _read_tools(body: ChatCompletionBody) -> tuple[Tool, ...]:
    """Read `tools`, and the `functions` that older clients send."""
    return read_tools([tool.function for tool in body.tools or ()] + (body.functions or []))


def _read_choice(body: ChatCompletionBody) -> ToolChoice | None:
    """Read `tool_choice`, or the `function_call` that older clients send."""
    older = body.function_call
    if body.tool_choice is not None or older is None:
        return read_tool_choice(body.tool_choice)
    if isinstance(older, NamedFunction):
        return read_tool_choice(NamedToolChoice(older))
    return ToolChoice("none" if older == "none" else "auto")


def _answer_id(reply: Reply) -> str:
    return f"chatcmpl-{reply.id}"
