"""Text to text: a conversation, answered with text, reasoning or tool calls."""

from collections.abc import AsyncGenerator

from gateway.generation.errors import EmptyAnswer, InvalidRequest
from gateway.generation.events import AnyEvent, Finish, ReasoningDelta, TaskAccepted, TextDelta, ToolCallDelta
from gateway.generation.requests import GenerationRequest, Message
from gateway.plugin_api import Run

__all__ = ["TextGenerator"]


class TextGenerator:
    """Generates text."""

    chat_type = "t2t"

    async def generate(self, request: GenerationRequest, run: Run) -> AsyncGenerator[AnyEvent, None]:
        """Yield the answer as it comes.

        Raises:
            InvalidRequest: nobody says anything.
            EmptyAnswer: the provider stopped by itself without text, reasoning or a tool call.
        """
        if all(map(_is_silent, request.messages)):
            raise InvalidRequest("There must be at least one message with content.", param="messages")
        answered = False
        async with run.open_events(request) as events:
            async for event in events:
                answered = answered or _answers(event)
                yield event


def _is_silent(message: Message) -> bool:
    return not message.content and not message.tool_calls


def _answers(event: AnyEvent) -> bool:
    """Return whether the event is (a piece of) an answer. Raises `EmptyAnswer` at an end without one."""
    match event:
        case TextDelta() | ReasoningDelta():
            return bool(event.text)
        case ToolCallDelta() | TaskAccepted():
            return True
        case Finish(reason="stop" | "tool_calls"):
            raise EmptyAnswer("The provider finished without an answer.", sent=True)
    return False
