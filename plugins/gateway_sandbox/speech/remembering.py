# ruff: noqa: RUF001  # Cyrillic and Chinese are meant
"""Questions about the chat itself, answered from what was said in it."""

import re

from .case import Case

__all__ = ["recall"]

_FIRST = re.compile(
    r"\b(?:what|which)\b.{0,30}\b(?:first)\b.{0,40}\b(?:say|said|message|ask|asked|tell|told|thing)|"
    r"\bwhat did i (?:say|ask|tell|write)\b.{0,20}\bfirst|"
    r"что я (?:сказал|спросил)а? (?:сначала|первым)|我.{0,4}第一",
    re.IGNORECASE,
)
_BEFORE = re.compile(
    r"\bwhat did i (?:just )?(?:say|ask|tell|write)|\bmy (?:last|previous) (?:message|question)|"
    r"что я (?:только что )?сказал",
    re.IGNORECASE,
)
_MINE = re.compile(
    r"\b(?:what(?:'s| is| was)|which is|remember|recall|tell me)\b.{0,20}?\bmy ([\w ]{2,30}?)\s*(?:\?|$|\.)",
    re.IGNORECASE,
)
_TOLD = re.compile(
    r"\b(?:what|which)\b.{0,10}\b(\w+)\b.{0,20}\b(?:did i|i)\b.{0,20}\b"
    r"(?:tell|told|ask|asked|give|gave|remember)",
    re.IGNORECASE,
)
_NO_MEMORY = "You have not told me that in this chat."


def recall(case: Case) -> str | None:
    """Answer a question about what was said, None if it is another question."""
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
        rf"\bremember\b.*?\b{re.escape(thing)}\b\s*(?:is|:|=)?\s*([^.!?\n,]+)|"
        r"\bremember(?: that)?:?\s+([^.!?\n]+)",
        re.IGNORECASE,
    )
    for text in reversed(said):
        if match := telling.search(text):
            return f"You told me: {(match[1] or match[2]).strip()}."
    return f"You said: “{said[-1]}”" if said else _NO_MEMORY
