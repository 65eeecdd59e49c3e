"""A text answer, word by word, with its thinking before it."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import msgspec

from .. import frames
from ..catalogue import max_context
from ..records import File, Message
from ..sandbox import Sandbox
from ..speech import Answer, AttachedFile, Question, compose, count_tokens, pieces
from ..turns import Turn

__all__ = ["answer_text"]

_THINKING_PACE = 3
_SLEEP_AT_LEAST = 0.005
_TEXT_KINDS = ("text/", "application/json", "application/xml", "application/yaml")


async def answer_text(sandbox: Sandbox, turn: Turn) -> AsyncGenerator[bytes, None]:
    """Yield the frames of a text answer; what was sent of it is kept in the chat."""
    with sandbox.answering(turn.chat.id) as stop:
        answer = await _compose(sandbox, turn)
        await _accept(sandbox, turn)
        yield frames.created(turn.chat.id, turn.user.id, turn.answer.id)
        if not turn.knows_model:
            return
        meter = _Meter(turn)
        if meter.input_tokens > max_context(turn.call.model):
            yield frames.error(
                "ContextLengthExceeded", "The input is longer than the model takes.", turn.answer.id
            )
            return
        sent: list[str] = []
        try:
            pace = _Pace(sandbox.settings.first_token_seconds, sandbox.settings.tokens_per_second)
            for frame, piece, phase in _script(turn, answer, meter):
                await pace.wait(_THINKING_PACE if phase != "answer" else 1)
                if stop.is_set():
                    break
                sent.append(piece)
                yield frame
        finally:
            _keep(sandbox, turn, "".join(sent))


async def _compose(sandbox: Sandbox, turn: Turn) -> Answer:
    history = tuple((message.role, message.content) for message in turn.history)
    system = turn.call.system_message
    files = tuple([await _look_at(sandbox, turn, at) for at in range(len(turn.user.attachments))])
    question = Question(
        prompt=turn.user.content,
        history=(("system", system), *history) if system else history,
        files=files,
        seed=sandbox.settings.seed,
    )
    return await asyncio.to_thread(compose, question)


async def _look_at(sandbox: Sandbox, turn: Turn, at: int) -> AttachedFile:
    attachment = turn.user.attachments[at]
    file = await sandbox.store.get(File, attachment.path) if attachment.path else None
    if file is None or not attachment.media_type.startswith(_TEXT_KINDS):
        return AttachedFile(attachment)
    content = await sandbox.store.read_blob(file.id) or b""
    line = content[:400].decode("utf-8", "replace").strip().partition("\n")[0]
    return AttachedFile(attachment, line.strip())


async def _accept(sandbox: Sandbox, turn: Turn) -> None:
    """Charge the account and keep the turn; the answer's words follow when they were sent."""
    async with sandbox.counting:
        await sandbox.check_quota(turn.chat.owner, turn.call.chat_type)
        await sandbox.store.put(turn.user, turn.answer)


def _keep(sandbox: Sandbox, turn: Turn, sent: str) -> None:
    """Write without waiting: this also runs while the call is being cancelled."""
    message: Message = msgspec.structs.replace(turn.answer, content=sent, done=True)
    sandbox.store.put_soon(message)


class _Meter:
    """Usage that grows from frame to frame."""

    def __init__(self, turn: Turn) -> None:
        said = sum(count_tokens(message.content) for message in turn.history)
        self.input_tokens = said + count_tokens(turn.user.content)
        self.reasoning = 0
        self.text = 0

    def usage(self) -> dict[str, Any]:
        output = self.reasoning + self.text
        return {
            "input_tokens": self.input_tokens,
            "output_tokens": output,
            "total_tokens": self.input_tokens + output,
            "input_tokens_details": {"text_tokens": self.input_tokens},
            "output_tokens_details": {"reasoning_tokens": self.reasoning, "text_tokens": self.text},
            "prompt_tokens_details": {"cached_tokens": 0},
        }


class _Pace:
    """Spreads words over time; drift does not add up."""

    def __init__(self, first: float, per_second: float) -> None:
        self._step = 1 / per_second if per_second > 0 else 0.0
        self._due = time.monotonic() + first

    async def wait(self, speed: float) -> None:
        """Sleep until the next word is due; `speed` shortens the step that follows."""
        left = self._due - time.monotonic()
        if left > _SLEEP_AT_LEAST:
            await asyncio.sleep(left)
        self._due += self._step / speed


_Step = tuple[bytes, str, str]


def _script(turn: Turn, answer: Answer, meter: _Meter) -> Iterator[_Step]:
    """All frames after `created`, each with the visible text it adds and its phase."""
    config = turn.call.message.feature_config
    phased = config.output_schema == "phase"
    if config.thinking_enabled and phased:
        think = _think_summary if config.thinking_format == "summary" else _think
        yield from think(turn, answer, meter)
    if turn.call.chat_type == "search" and phased:
        yield _search(turn, meter)
    yield from _speak(turn, answer, meter, {"phase": "answer"} if phased else {})


def _speak(turn: Turn, answer: Answer, meter: _Meter, phase: dict[str, str]) -> Iterator[_Step]:
    whole = ""
    for piece in pieces(answer.text):
        meter.text += 1
        whole += piece
        content = piece if turn.call.incremental_output else whole
        yield _frame(turn, meter, {"content": content, **phase, "status": "typing"}), piece, "answer"
    last = "" if turn.call.incremental_output else whole
    yield _frame(turn, meter, {"content": last, **phase, "status": "finished"}), "", "answer"


def _think(turn: Turn, answer: Answer, meter: _Meter) -> Iterator[_Step]:
    whole = ""
    for piece in pieces(" ".join(answer.thoughts)):
        meter.reasoning += 1
        whole += piece
        content = piece if turn.call.incremental_output else whole
        yield _frame(turn, meter, {"content": content, "phase": "think", "status": "typing"}), "", "think"
    yield _frame(turn, meter, {"content": "", "phase": "think", "status": "finished"}), "", "think"


def _think_summary(turn: Turn, answer: Answer, meter: _Meter) -> Iterator[_Step]:
    for count in range(1, len(answer.thoughts) + 1):
        meter.reasoning += len(pieces(answer.thoughts[count - 1]))
        extra = {
            "summary_title": {"content": [f"Step {at}" for at in range(1, count + 1)]},
            "summary_thought": {"content": list(answer.thoughts[:count])},
        }
        status = "finished" if count == len(answer.thoughts) else "typing"
        fields = {"content": "", "phase": "thinking_summary", "status": status, "extra": extra}
        yield _frame(turn, meter, fields), "", "think"


def _search(turn: Turn, meter: _Meter) -> _Step:
    found = [{"title": "Example Domain", "url": "https://example.com/", "snippet": "A page for examples."}]
    fields = {
        "content": "",
        "phase": "web_search",
        "status": "finished",
        "name": "web_search",
        "function_call": {"name": "web_search", "arguments": turn.user.content[:80]},
        "extra": {"web_search_info": found},
    }
    return _frame(turn, meter, fields), "", "search"


def _frame(turn: Turn, meter: _Meter, fields: dict[str, Any]) -> bytes:
    return frames.delta(turn.answer.id, fields, meter.usage())
