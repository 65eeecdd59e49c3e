"""OpenAI's chat completions as a provider speaks them: what upstream plugins of that wire share."""

from gateway.plugin_api.openai_wire.allowances import read_allowance
from gateway.plugin_api.openai_wire.answers import ChatAnswer
from gateway.plugin_api.openai_wire.chat import read_body, stream_chat
from gateway.plugin_api.openai_wire.refusals import Refusal, error_in, refuse, refuse_call
from gateway.plugin_api.openai_wire.requests import encode_body, encode_chat, unsent_by_chat

__all__ = [
    "ChatAnswer",
    "Refusal",
    "encode_body",
    "encode_chat",
    "error_in",
    "read_allowance",
    "read_body",
    "refuse",
    "refuse_call",
    "stream_chat",
    "unsent_by_chat",
]
