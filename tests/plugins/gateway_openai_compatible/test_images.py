"""What an order for pictures has no place for; the rest is shown over real sockets in `test_upstream`."""

from msgspec.structs import replace

from gateway.generation.requests import GenerationRequest, Message, TextPart, Tool
from gateway_openai_compatible.images import unsent_by_images

CAT = GenerationRequest(chat_type="t2i", model="m", messages=(Message("user", (TextPart("a cat"),)),))


def test_what_has_no_place_is_named() -> None:
    assert unsent_by_images(CAT) == []
    assert unsent_by_images(replace(CAT, size="1:1", negative_prompt="x", tools=(Tool("f"),))) == ["tools"]
