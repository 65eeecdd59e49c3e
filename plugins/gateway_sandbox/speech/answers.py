"""The rules of the answering machine, tried in order; the first that fits speaks."""

import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from ..records import Attachment
from .calling import call_for, speak_results
from .prompt import Prompt, read_prompt
from .prose import essay, language_of, reflection, remark
from .schema import find_schema, make_value

__all__ = ["Answer", "AttachedFile", "Question", "compose"]


class AttachedFile(msgspec.Struct, frozen=True):
    """An attachment, with the first line of it if it is a text that was uploaded here."""

    attachment: Attachment
    first_line: str | None = None


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


class _Case(msgspec.Struct, frozen=True):
    prompt: Prompt
    history: tuple[tuple[str, str], ...]
    files: tuple[AttachedFile, ...]
    seed: int

    @property
    def text(self) -> str:
        return self.prompt.text

    @property
    def said(self) -> list[str]:
        """What the user said before, oldest first."""
        return [text for role, text in self.history if role == "user"]


def compose(question: Question) -> Answer:
    """The answer to a question; equal questions get equal answers."""
    prompt = read_prompt(question.prompt)
    digest = hashlib.sha256(f"{question.seed}\n{question.prompt}".encode("utf-8", "surrogatepass")).digest()
    case = _Case(
        prompt, (*_plain(question.history), *prompt.turns), question.files, int.from_bytes(digest[:8])
    )
    text = next(text for rule in _RULES if (text := rule(case)) is not None)
    return Answer(tuple(reflection(prompt.text)), text)


def _plain(history: tuple[tuple[str, str], ...]) -> Iterator[tuple[str, str]]:
    for role, text in history:
        if role != "user":
            yield role, text
            continue
        prompt = read_prompt(text)
        yield from prompt.turns
        yield role, prompt.text


# ------------------------------------------------------------------ tools and JSON


def _use_results(case: _Case) -> str | None:
    return speak_results(case.prompt.results) if case.prompt.results else None


def _call_tool(case: _Case) -> str | None:
    return call_for(case.text, case.prompt.tools, case.seed)


_WANTS_JSON = re.compile(
    r"json[ _](?:object|schema|only|format|output|mode)|(?:in|as|valid|return|only|with|output|raw|a)\s+json|"
    r"(?:reply|respond|answer)\b.{0,60}\bjson|\bв (?:формате )?json",
    re.IGNORECASE | re.DOTALL,
)
_KEYS = re.compile(
    r"\b(?:keys?|fields?|properties)\s*:?\s+((?:[`\"']?\w+[`\"']?(?:\s*,\s*and\s+|\s*,\s*|\s+and\s+)?)+)"
)


def _write_json(case: _Case) -> str | None:
    whole = "\n".join([*(text for role, text in case.prompt.turns if role == "system"), case.text])
    if not _WANTS_JSON.search(whole):
        return None
    schema = find_schema(_objects(whole)) or _schema_from_keys(whole)
    if schema is None:
        return _json({"answer": remark(case.text, case.seed), "language": language_of(case.text), "ok": True})
    return _json(make_value(schema, _without_objects(case.text), case.seed))


def _schema_from_keys(text: str) -> dict[str, Any] | None:
    match = _KEYS.search(text)
    if match is None:
        return None
    names = [name for name in re.findall(r"\w+", match[1]) if name != "and"]
    kinds = {
        name: {"type": "integer" if name in ("age", "count", "number", "year") else "string"}
        for name in names
    }
    return {"type": "object", "properties": kinds}


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects that stand in a text."""
    for start, end in _braces(text):
        try:
            yield msgspec.json.decode(text[start:end], type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError):
            continue  # braces of prose or code


def _without_objects(text: str) -> str:
    for start, end in reversed(list(_braces(text))):
        text = text[:start] + text[end:]
    return text


def _braces(text: str) -> Iterator[tuple[int, int]]:
    depth = start = 0
    for match in re.finditer(r"[{}]", text):
        if match[0] == "{":
            start = match.start() if depth == 0 else start
            depth += 1
        elif depth:
            depth -= 1
            if depth == 0:
                yield start, match.end()


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


# ------------------------------------------------------------------ obeying


_ECHO = re.compile(
    r"(?:^|[\n.!?]\s*)(?:please\s+)?(?:echo|repeat(?: this)?(?: after me| back)?|повтори(?:те)?(?: за мной)?|重复|跟我说)"
    r"\b[ \t]*[:：,]?\s*(.+)",  # noqa: RUF001  # the full-width colon of Chinese prompts
    re.IGNORECASE | re.DOTALL,
)
_SAY_QUOTED = re.compile(
    r"\b(?:say|reply|respond|answer|write|output|return|print)\b[^\"'“«\n]{0,60}[\"“«']([^\"”»\n]+?)[\"”»'](?!\w)",
    re.IGNORECASE,
)
_SAY = re.compile(
    r"(?:^|[\n.!?]\s*)(?:please\s+)?(?:(?:reply|respond|answer)\s+(?:\w+\s+)?with|say)\s+"
    r"(?:(?:only|just|exactly|the|a|single|words?|phrase|this|text|following)\b\s*)*:?\s*([^\n]+)",
    re.IGNORECASE,
)


def _echo(case: _Case) -> str | None:
    match = _ECHO.search(case.text)
    return _unquote(match[1].strip()) if match else None


def _say(case: _Case) -> str | None:
    if match := _SAY_QUOTED.search(case.text):
        return match[1]
    match = _SAY.search(case.text)
    return _unquote(re.split(r"[.!?](?:\s|$)|\s+and nothing else", match[1])[0].strip()) if match else None


def _unquote(text: str) -> str:
    pairs = {'"': '"', "'": "'", "“": "”", "«": "»"}
    quoted = len(text) > 1 and pairs.get(text[0]) == text[-1]
    return text[1:-1] if quoted else text


_NUMBERS = {
    word: at for at, word in enumerate(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"])
}
_NUMBER = r"(\d{1,5}|" + "|".join(_NUMBERS) + ")"
_COUNT = re.compile(
    rf"\b(?:count|numbers|посчитай|сосчитай|считай)\b(?P<down>\s+(?:down|backwards?))?(?:\s+out loud)?"
    rf"(?:\s+(?:from|от)\s+{_NUMBER})?\s*(?:up\s+)?(?:to|through|until|do|до|-)\s*{_NUMBER}|从\s*(\d+)\s*数到\s*(\d+)",
    re.IGNORECASE,
)
_COUNT_DOWN = re.compile(rf"\bcount\s+(?:down|backwards?)\s+from\s+{_NUMBER}(?!\s*to)", re.IGNORECASE)
_LINES = re.compile(
    r"(?:per|new|separate|own|each)\s+(?:on\s+)?(?:a\s+)?(?:new\s+)?line|построчно", re.IGNORECASE
)
_MOST_NUMBERS = 10_000


def _count(case: _Case) -> str | None:
    if match := _COUNT.search(case.text):
        ends = [match[2] or match[4] or "1", match[3] or match[5]]
    elif match := _COUNT_DOWN.search(case.text):
        ends = [match[1], "1"]
    else:
        return None
    first, last = (int(_NUMBERS.get(end.lower(), end)) for end in ends)
    step = 1 if first <= last else -1
    numbers = list(range(first, last + step, step))[:_MOST_NUMBERS]
    return ("\n" if _LINES.search(case.text) else ", ").join(map(str, numbers))


_LENGTH = re.compile(r"\b(\d{1,5})[\s-]*(?:words?|слов\w*|字)", re.IGNORECASE)
_WRITE = re.compile(r"\b(?:write|tell|give|compose|generate|essay|story|напиши|写)", re.IGNORECASE)
_LONG = re.compile(r"\b(?:long (?:story|essay|answer|text|poem)|in (?:great )?detail)\b", re.IGNORECASE)
_LONG_WORDS = 400


def _write_long(case: _Case) -> str | None:
    if _WRITE.search(case.text) and (match := _LENGTH.search(case.text)):
        return essay(int(match[1]), case.seed)
    return essay(_LONG_WORDS, case.seed) if _LONG.search(case.text) else None


_SUM = re.compile(
    r"(?<![\w.])(-?\d{1,12})\s*(\+|-|−|\*|×|x|/|÷|plus|minus|times)\s*(\d{1,12})(?![\w.])", re.IGNORECASE
)
_SUMS: dict[str, Callable[[int, int], float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b if a % b else a // b,
}
_SIGNS = {"plus": "+", "minus": "-", "−": "-", "times": "*", "×": "*", "x": "*", "÷": "/"}  # noqa: RUF001
_ASKS_SUM = re.compile(r"\b(?:what|how much|calculate|compute|сколько)\b|[=?]|多少", re.IGNORECASE)


def _reckon(case: _Case) -> str | None:
    match = _SUM.search(case.text)
    bare = match is not None and match[0].strip() == case.text.strip()
    if match is None or not (bare or _ASKS_SUM.search(case.text)):
        return None
    left, sign, right = int(match[1]), _SIGNS.get(match[2].lower(), match[2]), int(match[3])
    if sign == "/" and right == 0:
        return "A number cannot be divided by zero."
    return f"{left} {sign} {right} = {_SUMS[sign](left, right)}"


def _ping(case: _Case) -> str | None:
    return "pong" if case.text.lower().strip(" .!?") == "ping" else None


# ------------------------------------------------------------------ remembering


_FIRST = re.compile(
    r"\b(?:what|which)\b.{0,30}\b(?:first)\b.{0,40}\b(?:say|said|message|ask|asked|tell|told|thing)|"
    r"\bwhat did i (?:say|ask|tell|write)\b.{0,20}\bfirst|что я (?:сказал|спросил)а? (?:сначала|первым)|我.{0,4}第一",
    re.IGNORECASE,
)
_BEFORE = re.compile(
    r"\bwhat did i (?:just )?(?:say|ask|tell|write)|\bmy (?:last|previous) (?:message|question)|что я (?:только что )?сказал",
    re.IGNORECASE,
)
_MINE = re.compile(
    r"\b(?:what(?:'s| is| was)|which is|remember|recall|tell me)\b.{0,20}?\bmy ([\w ]{2,30}?)\s*(?:\?|$|\.)",
    re.IGNORECASE,
)
_TOLD = re.compile(
    r"\b(?:what|which)\b.{0,10}\b(\w+)\b.{0,20}\b(?:did i|i)\b.{0,20}\b(?:tell|told|ask|asked|give|gave|remember)",
    re.IGNORECASE,
)
_NO_MEMORY = "You have not told me that in this chat."


def _recall(case: _Case) -> str | None:
    if _FIRST.search(case.text):
        return f"The first thing you said was: “{case.said[0]}”" if case.said else _NO_MEMORY
    if match := _MINE.search(case.text):
        return _recall_mine(match[1], case.said)
    if match := _TOLD.search(case.text):
        return _recall_told(match[1], case.said)
    if _BEFORE.search(case.text):
        return f"You said: “{case.said[-1]}”" if case.said else _NO_MEMORY
    return None


def _recall_mine(thing: str, said: list[str]) -> str:
    names = r"|(?:i am|i'm|call me)\s+(?P<called>[A-Z]\w+)" if thing.lower() == "name" else ""
    telling = re.compile(rf"\bmy {re.escape(thing)} is\s+(?P<told>[^.!?\n,]+){names}", re.IGNORECASE)
    for text in reversed(said):
        if match := telling.search(text):
            found = match["told"] or match["called"]
            return f"Your {thing} is {found.strip()}."
    return _NO_MEMORY


def _recall_told(thing: str, said: list[str]) -> str:
    telling = re.compile(
        rf"\bremember\b.*?\b{re.escape(thing)}\b\s*(?:is|:|=)?\s*([^.!?\n,]+)|\bremember(?: that)?:?\s+([^.!?\n]+)",
        re.IGNORECASE,
    )
    for text in reversed(said):
        if match := telling.search(text):
            return f"You told me: {(match[1] or match[2]).strip()}."
    return f"You said: “{said[-1]}”" if said else _NO_MEMORY


# ------------------------------------------------------------------ attachments and the rest


def _describe_files(case: _Case) -> str | None:
    if not case.files:
        return None
    lines = [_describe(file) for file in case.files]
    return "\n".join([f"I received {len(lines)} file{'s' if len(lines) > 1 else ''}:", *lines])


def _describe(file: AttachedFile) -> str:
    about = file.attachment
    size = f", {about.size} bytes" if about.path else ""
    quote = f" First line: “{file.first_line}”" if file.first_line else ""
    return f"- {about.name} ({about.media_type}{size}).{quote}"


def _remark(case: _Case) -> str:
    return remark(case.text, case.seed)


_RULES: tuple[Callable[[_Case], str | None], ...] = (
    _use_results,
    _call_tool,
    _echo,
    _write_json,
    _recall,
    _ping,
    _say,
    _count,
    _write_long,
    _reckon,
    _describe_files,
    _remark,
)
