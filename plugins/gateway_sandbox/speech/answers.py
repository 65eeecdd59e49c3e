"""The rules of the answering machine, tried in order; the first that fits speaks."""

import hashlib
from collections.abc import Callable, Iterator

import msgspec

from .calling import call_for, speak_results
from .case import AttachedFile, Case
from .obeying import count, echo, ping, reckon, say, write_long
from .prompt import read_prompt
from .prose import reflection, remark
from .remembering import recall
from .structured import write_json

__all__ = ["Answer", "AttachedFile", "Question", "compose"]


class Question(msgspec.Struct, frozen=True):
    """What is asked: the new prompt, the (role, text) turns before it, the attachments."""

    prompt: str
    history: tuple[tuple[str, str], ...] = ()
    files: tuple[AttachedFile, ...] = ()
    seed: int = 0


class Answer(msgspec.Struct, frozen=True):
    """What is said: the thoughts, one per item, and the visible text."""

    thoughts: tuple[str, ...]
    text: str


def compose(question: Question) -> Answer:
    """Return the answer to a question; equal questions get equal answers."""
    prompt = read_prompt(question.prompt)
    digest = hashlib.sha256(f"{question.seed}\n{question.prompt}".encode("utf-8", "surrogatepass")).digest()
    history = (*_unfolded(question.history), *prompt.turns)
    case = Case(prompt, history, question.files, int.from_bytes(digest[:8]))
    text = next(text for rule in _RULES if (text := rule(case)) is not None)
    return Answer(tuple(reflection(prompt.text)), text)


def _unfolded(history: tuple[tuple[str, str], ...]) -> Iterator[tuple[str, str]]:
    """Yield the turns of the chat; an earlier message may itself be a flattened conversation."""
    for role, text in history:
        if role != "user":
            yield role, text
            continue
        prompt = read_prompt(text)
        yield from prompt.turns
        yield role, prompt.text


def _use_results(case: Case) -> str | None:
    return speak_results(case.prompt.results) if case.prompt.results else None


def _call_tool(case: Case) -> str | None:
    return call_for(case.text, case.prompt.tools, case.seed, forced=case.prompt.must_call)


def _describe_files(case: Case) -> str | None:
    if not case.files:
        return None
    lines = [_describe(file) for file in case.files]
    return "\n".join([f"I received {len(lines)} file{'s' if len(lines) > 1 else ''}:", *lines])


def _describe(file: AttachedFile) -> str:
    about = file.attachment
    size = f", {about.size} bytes" if about.path else ""
    quote = f" First line: “{file.first_line}”" if file.first_line else ""
    return f"- {about.name} ({about.media_type}{size}).{quote}"


def _remark(case: Case) -> str:
    return remark(case.text, case.seed)


_RULES: tuple[Callable[[Case], str | None], ...] = (
    _use_results,
    _call_tool,
    echo,
    write_json,
    recall,
    ping,
    say,
    count,
    write_long,
    reckon,
    _describe_files,
    _remark,
)
