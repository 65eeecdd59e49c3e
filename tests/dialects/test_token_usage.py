import msgspec

from gateway.dialects.token_usage import answer_size, count_tokens
from gateway.generation.events import Usage
from gateway.generation.requests import Message, TextPart, ToolCall
from gateway.generation.results import Choice, GenerationResult
from tests.dialects.cases import REQUEST


def test_the_provider_s_counts_are_taken_as_they_are():
    counted = count_tokens(REQUEST, Usage(7, 5, reasoning_tokens=2, cached_tokens=1), 4000)
    assert (counted.prompt_tokens, counted.completion_tokens, counted.total_tokens) == (7, 5, 12)
    assert counted.completion_tokens_details.reasoning_tokens == 2
    assert counted.prompt_tokens_details.cached_tokens == 1


def test_four_bytes_are_a_token_where_nobody_counted():
    texts = tuple(Message("user", (TextPart(text),)) for text in ("x" * 40, "語" * 40))
    counted = count_tokens(msgspec.structs.replace(REQUEST, messages=texts), None, 41)
    assert (counted.prompt_tokens, counted.completion_tokens) == (40, 11)


def test_no_count_is_ever_zero():
    empty = msgspec.structs.replace(REQUEST, messages=())
    assert count_tokens(empty, Usage(), 0).total_tokens == 2


def test_everything_that_the_model_wrote_counts():
    choice = Choice(text="é", reasoning="abc", tool_calls=(ToolCall("id", "fn", "{}"),))
    assert answer_size(GenerationResult((choice, Choice(text="x")))) == 2 + 3 + 4 + 1
