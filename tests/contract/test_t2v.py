from gateway.generation.events import Finish, Media, Progress, TaskAccepted, Usage
from gateway.generation.requests import GenerationRequest, Message, TextPart
from gateway.plugin_api.testing import GeneratorConformance
from gateway_t2v import VideoGenerator


class TestVideoGenerator(GeneratorConformance):
    make = VideoGenerator
    request = GenerationRequest(chat_type="t2v", messages=(Message("user", (TextPart("Waves"),)),))
    answer = (
        TaskAccepted("task-1"),
        Progress(0.5),
        Media("video", url="https://example.test/a.mp4"),
        Usage(media=1),
        Finish(),
    )
