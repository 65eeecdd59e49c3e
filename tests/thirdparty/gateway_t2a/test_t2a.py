from gateway_t2a import TuneGenerator

from gateway.generation.requests import GenerationRequest, Message, TextPart
from gateway.plugin_api.testing import StandaloneGeneratorConformance


class TestTuneGenerator(StandaloneGeneratorConformance):
    make = TuneGenerator
    request = GenerationRequest(chat_type="t2a", messages=(Message("user", (TextPart("Rain at night"),)),))
