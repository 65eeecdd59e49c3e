"""One answer's frames turned into events. No I/O: bytes of frames in, events out."""

import logging
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Protocol

import msgspec

from gateway.generation.errors import AnswerCut, ContentRefused, EmptyAnswer, InvalidAnswer
from gateway.generation.events import AnyEvent, Finish, FinishReason, ReasoningDelta, TextDelta, Thread
from gateway.generation.requests import GenerationRequest

from .errors import find_complaint, scrub
from .frames import Choice, Delta, Extra, Frame, Items, may_hold_text, read_frame, read_part, read_usage
from .pictures import Gallery, markdown_pictures
from .tools import ToolCallParser, offered_tools

__all__ = ["AnswerReader"]

_log = logging.getLogger(__name__)

_ANSWER_PHASES = frozenset({"answer", "image_gen"})
_THINKING_PHASES = frozenset({"think", "thinking_summary"})
_REASONS: dict[str, FinishReason] = {"length": "length", "content_filter": "content_filter"}
_extra = msgspec.json.Decoder(Extra)


class _Text(Protocol):
    """What becomes of the answer's words."""

    def feed(self, text: str) -> Sequence[AnyEvent]: ...

    def close(self) -> Sequence[AnyEvent]: ...


class _PlainText:
    """Words are the answer."""

    def feed(self, text: str) -> Sequence[AnyEvent]:
        return (TextDelta(text),)

    def close(self) -> Sequence[AnyEvent]:
        return ()


class _Caption:
    """Words beside a picture: they may hold it as Markdown, or say why there is none."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._words: list[str] = []

    def feed(self, text: str) -> Sequence[AnyEvent]:
        self._words.append(text)
        return ()

    def close(self) -> Sequence[AnyEvent]:
        """Return the pictures. Raises `ContentRefused` for words alone.

        Words in place of a picture are the model's refusal: the same prompt would meet it on any account,
        and every further try costs one of a few pictures a day.
        """
        words = "".join(self._words)
        found = self._gallery.add(markdown_pictures(words))
        if words.strip() and not self._gallery:
            raise ContentRefused(f"The provider answered without a picture: {scrub(words)}")
        return found


class _Thoughts:
    """A reasoning summary: two lists that every frame repeats from their beginning."""

    def __init__(self) -> None:
        self._titles = 0
        self._thoughts = 0

    def news(self, extra: Extra) -> list[ReasoningDelta]:
        """Return what was not there before, a thought under its title, a line each."""
        titles, thoughts = _items(extra.summary_title), _items(extra.summary_thought)
        lines: list[str] = []
        for at in range(min(self._titles, self._thoughts), max(len(titles), len(thoughts))):
            lines += titles[at : at + 1] if at >= self._titles else ()
            lines += thoughts[at : at + 1] if at >= self._thoughts else ()
        self._titles = max(self._titles, len(titles))
        self._thoughts = max(self._thoughts, len(thoughts))
        return [ReasoningDelta(f"{line}\n") for line in lines]


class AnswerReader:
    """Reads one answer and knows how it ended.

    Args:
        request: what was asked for; decides what becomes of the answer's words.
        chat: the provider's chat, for the `Thread` that the next turn hangs on.
        is_private: whether only the gateway can fetch a picture's URL.
    """

    def __init__(self, request: GenerationRequest, chat: str, is_private: Callable[[str], bool]) -> None:
        self._chat = chat
        self._gallery = Gallery(is_private)
        self._tools = ToolCallParser() if offered_tools(request) else None
        self._draws = request.chat_type == "t2i"
        self._text = self._text_for()
        self._thoughts = _Thoughts()
        self._usage = msgspec.Raw()
        self._reason: FinishReason = "stop"
        self._broken = 0
        self._torn = False
        self._thought = False
        self._spoke = False
        self.response_id = ""
        self.finished = False
        """Whether the answer's own end was seen; every other phase ends by itself, too."""

    @property
    def has_pictures(self) -> bool:
        """Whether a picture was found so far."""
        return bool(self._gallery)

    def read(self, data: bytes) -> Iterable[AnyEvent]:
        """Return the events of one frame. Raises the error that the frame reports."""
        frame = read_frame(data)
        if frame is None:
            return self._unreadable(data)
        if (frame.error or not frame.choices) and (error := find_complaint(data)):
            raise error
        if frame.usage and bytes(frame.usage) != b"null":
            self._usage = frame.usage
        if frame.created:
            return self._thread(frame.created.response_id)
        return self._choices(frame)

    def recover(self, urls: Iterable[str]) -> list[AnyEvent]:
        """Return the events of an answer whose pictures were found elsewhere. Raises as `close` does."""
        pictures = self._gallery.add(urls)
        self.finished = True
        return [*pictures, *self.close()]

    def close(self) -> list[AnyEvent]:
        """Return the last events. Raises the error that an end without an answer is."""
        if self._broken:
            _log.warning("skipped %d unreadable frames of an answer", self._broken)
        if not self.finished:
            raise self._cut()
        if self._torn and not (self._draws and self._gallery):
            raise InvalidAnswer("A piece of the provider's answer cannot be read.", sent=True)
        last = list(self._text.close())
        if not (self._spoke or self._gallery):
            raise EmptyAnswer("The provider's answer is empty.", sent=True)
        if usage := read_usage(self._usage):
            last.append(usage)
        return [*last, Finish("tool_calls" if self._tools and self._tools.calls else self._reason)]

    def _unreadable(self, data: bytes) -> Iterable[AnyEvent]:
        """Read frames that a line of blanks parted instead of an empty one; count what is no frame.

        What is skipped before the end may have been a piece of the answer, which is not surely whole then.
        """
        if b"\n" in data:
            return chain.from_iterable(map(self.read, data.split(b"\n")))
        if data.strip() not in (b"", b"[DONE]"):
            self._broken += 1
            self._torn = self._torn or (not self.finished and may_hold_text(data))
        return ()

    def _text_for(self) -> _Text:
        if self._draws:
            return _Caption(self._gallery)
        return self._tools or _PlainText()

    def _cut(self) -> AnswerCut | InvalidAnswer:
        if self._spoke or self._thought or self._gallery:
            return AnswerCut("The answer ended before its finish marker.", sent=True)
        if self._broken:
            return InvalidAnswer("The provider's answer cannot be read.", sent=True)
        return EmptyAnswer("The provider's answer is empty.", sent=True)

    def _thread(self, response_id: str | None) -> Sequence[AnyEvent]:
        if self.response_id or not response_id:
            return ()
        self.response_id = response_id
        return (Thread(self._chat, response_id),)

    def _choices(self, frame: Frame) -> list[AnyEvent]:
        events = list(self._thread(frame.response_id))
        for choice in frame.choices or ():
            events += self._choice(choice, frame)
        return events

    def _choice(self, choice: Choice, frame: Frame) -> Sequence[AnyEvent]:
        delta = choice.delta or Delta()
        phase = delta.phase or "answer"
        if choice.finish_reason:
            self._reason = _REASONS.get(choice.finish_reason, "stop")
            self.finished = True
        if delta.status == "finished" and phase in _ANSWER_PHASES:
            self.finished = True
        if phase == "answer":
            return self._said(delta)
        return self._beside(phase, delta, frame)

    def _said(self, delta: Delta) -> Sequence[AnyEvent]:
        pictures = self._shown(read_part(delta.extra, _extra))
        if not delta.content:
            return pictures
        self._spoke = self._spoke or not delta.content.isspace()
        events = self._text.feed(delta.content)
        return [*events, *pictures] if pictures else events

    def _beside(self, phase: str, delta: Delta, frame: Frame) -> Sequence[AnyEvent]:
        """Return the events of what is not the answer's text; a tool's own words are left out."""
        extra = read_part(delta.extra, _extra) or Extra()
        self._thought = self._thought or phase in _THINKING_PHASES
        match phase:
            case "think":
                return (ReasoningDelta(delta.content),) if delta.content else ()
            case "thinking_summary":
                return self._thoughts.news(extra)
            case "image_gen":
                return [*self._generated(delta.content or "", extra, frame), *self._shown(extra)]
        return self._shown(extra)

    def _generated(self, content: str, extra: Extra, frame: Frame) -> Sequence[AnyEvent]:
        """Return the picture of an `image_gen` delta: its whole content is one URL."""
        used = read_usage(frame.usage)
        width, height = (used.width, used.height) if used else (0, 0)
        if sizes := extra.output_image_hw:
            height, width = sizes[min(len(self._gallery), len(sizes) - 1)]
        return self._gallery.add((content.strip(),), width, height)

    def _shown(self, extra: Extra | None) -> Sequence[AnyEvent]:
        listed = extra.image_list if extra else None
        return self._gallery.add(picture.image for picture in listed) if listed else ()


def _items(items: Items | None) -> tuple[str, ...]:
    return (items.content or ()) if items else ()
