"""Token counts in OpenAI's form, estimated where the provider counted nothing.

The estimate is one token for four bytes of UTF-8, which is near the truth for English and for Chinese.
"""

import msgspec

from gateway.generation.events import Usage
from gateway.generation.requests import GenerationRequest
from gateway.generation.results import GenerationResult

__all__ = [
    "CompletionDetails",
    "PromptDetails",
    "TokenUsage",
    "answer_size",
    "count_answer",
    "count_tokens",
    "estimate_prompt",
]


class PromptDetails(msgspec.Struct, frozen=True, gc=False):
    """What is known about the prompt's tokens."""

    cached_tokens: int = 0


class CompletionDetails(msgspec.Struct, frozen=True, gc=False):
    """What is known about the answer's tokens."""

    reasoning_tokens: int = 0


class TokenUsage(msgspec.Struct, frozen=True, gc=False):
    """How many tokens went in and came out."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails
    completion_tokens_details: CompletionDetails


def count_tokens(request: GenerationRequest, usage: Usage | None, size: int) -> TokenUsage:
    """Return the provider's counts, or estimates: `size` is the answer's in bytes."""
    known = usage or Usage()
    prompt = known.input_tokens or estimate_prompt(request)
    completion = known.output_tokens or _estimate(size)
    return TokenUsage(
        prompt,
        completion,
        prompt + completion,
        PromptDetails(known.cached_tokens),
        CompletionDetails(known.reasoning_tokens),
    )


def count_answer(request: GenerationRequest, result: GenerationResult) -> TokenUsage:
    """Return the counts of a whole answer."""
    counted = result.usage is not None and result.usage.output_tokens
    return count_tokens(request, result.usage, 0 if counted else answer_size(result))


def estimate_prompt(request: GenerationRequest) -> int:
    """Return about how many tokens the request's text has."""
    return _estimate(sum(len(message.text.encode()) for message in request.messages))


def answer_size(result: GenerationResult) -> int:
    """Return the bytes of everything that the model wrote."""
    return sum(
        len(choice.text.encode())
        + len(choice.reasoning.encode())
        + sum(len(call.name) + len(call.arguments.encode()) for call in choice.tool_calls)
        for choice in result.choices
    )


def _estimate(size: int) -> int:
    return max(1, (size + 3) // 4)
