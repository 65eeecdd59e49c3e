from gateway.generation.events import Finish, Media, Progress, Usage
from gateway.generation.requests import GenerationRequest, Message, TextPart
from gateway.plugin_api.testing import GeneratorConformance
from gateway_t2i import ImageGenerator

PROMPT = (Message("user", (TextPart("A cat"),)),)
PICTURE = Media("image", url="https://example.test/a.png", width=10, height=10)


class TestImageGenerator(GeneratorConformance):
    make = ImageGenerator
    request = GenerationRequest(chat_type="t2i", messages=PROMPT)
    answer = (Progress(0.5), PICTURE, Usage(media=1), Finish())


class TestImageGeneratorWithSeveralPictures(GeneratorConformance):
    make = ImageGenerator
    request = GenerationRequest(chat_type="t2i", messages=PROMPT, count=3)
    answer = (PICTURE, Usage(media=1), Finish())
