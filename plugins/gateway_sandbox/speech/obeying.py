# ruff: noqa: RUF001  # Cyrillic and Chinese are meant
"""Simple instructions, carried out to the letter."""

import re
from collections.abc import Callable

from .case import Case
from .prose import essay

__all__ = ["count", "echo", "ping", "reckon", "say", "write_long"]

_ECHO = re.compile(
    r"(?:^|[\n.!?]\s*)(?:please\s+)?"
    r"(?:(?:echo|repeat(?: this)?(?: after me| back)?|повтори(?:те)?(?: за мной)?)\b|重复|跟我说)"
    r"[ \t]*[:：,]?\s*(.+)",  # the full-width colon of Chinese prompts
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


def echo(case: Case) -> str | None:
    """Repeat what is to be repeated."""
    match = _ECHO.search(case.text)
    return _unquote(match[1].strip()) if match else None


def say(case: Case) -> str | None:
    """Say what is to be said."""
    if match := _SAY_QUOTED.search(case.text):
        return match[1]
    match = _SAY.search(case.text)
    return _unquote(re.split(r"[.!?](?:\s|$)|\s+and nothing else", match[1])[0].strip()) if match else None


def _unquote(text: str) -> str:
    pairs = {'"': '"', "'": "'", "“": "”", "«": "»"}
    quoted = len(text) > 1 and pairs.get(text[0]) == text[-1]
    return text[1:-1] if quoted else text


_NUMBERS = {
    word: at
    for at, word in enumerate(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    )
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


def count(case: Case) -> str | None:
    """Count up or down."""
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


def write_long(case: Case) -> str | None:
    """Write at length; a number of words is met exactly."""
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
_SIGNS = {"plus": "+", "minus": "-", "−": "-", "times": "*", "×": "*", "x": "*", "÷": "/"}
_ASKS_SUM = re.compile(r"\b(?:what|how much|calculate|compute|сколько)\b|[=?]|多少", re.IGNORECASE)


def reckon(case: Case) -> str | None:
    """Work out a sum of two whole numbers."""
    match = _SUM.search(case.text)
    bare = match is not None and match[0].strip() == case.text.strip()
    if match is None or not (bare or _ASKS_SUM.search(case.text)):
        return None
    left, sign, right = int(match[1]), _SIGNS.get(match[2].lower(), match[2]), int(match[3])
    if sign == "/" and right == 0:
        return "A number cannot be divided by zero."
    return f"{left} {sign} {right} = {_SUMS[sign](left, right)}"


def ping(case: Case) -> str | None:
    """Answer a ping."""
    return "pong" if case.text.lower().strip(" .!?") == "ping" else None
