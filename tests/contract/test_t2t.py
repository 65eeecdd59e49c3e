from gateway.generation.events import Finish, ReasoningDelta, TextDelta, Usage
from gateway.generation.requests import GenerationRequest, Message, TextPart
from gateway.plugin_api.testing import GeneratorConformance
from gateway_t2t import TextGenerator


class TestTextGenerator(GeneratorConformance):
    make = TextGenerator
    request = GenerationRequest(chat_type="t2t", messages=(Message("user", (TextPart("Hi"),)),))
    answer = (ReasoningDelta("Hm."), TextDelta("Hello"), TextDelta("!"), Usage(1, 2), Finish())
