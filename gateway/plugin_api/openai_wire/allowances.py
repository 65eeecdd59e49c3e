"""The limit of requests as OpenAI's wire tells it: three header fields on every answer."""

import re
from typing import Final

from gateway.accounts.allowance import Allowance
from gateway.transport.headers import Headers

__all__ = ["read_allowance"]

_WHOLE: Final = re.compile(r"\d{1,15}", re.ASCII)
_TERM: Final = re.compile(r"(?P<number>\d{1,9}(?:\.\d{1,9})?)(?P<unit>ms|s|m|h|d)", re.ASCII)
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def read_allowance(headers: Headers, now: float) -> Allowance | None:
    """Read ``x-ratelimit-{limit,remaining,reset}-requests``; None where one is missing or makes no sense."""
    limit = headers.text("x-ratelimit-limit-requests")
    if not limit:
        return None
    remaining = headers.text("x-ratelimit-remaining-requests")
    pause = _read_duration(headers.text("x-ratelimit-reset-requests"))
    if pause is None or not _WHOLE.fullmatch(limit) or not _WHOLE.fullmatch(remaining):
        return None
    return Allowance(int(limit), int(remaining), now + pause)


def _read_duration(text: str) -> float | None:
    """Read ``6m0s`` or ``120ms``; some servers send plain seconds."""
    text = f"{text}s" if text[-1:].isdigit() else text
    terms = list(_TERM.finditer(text))
    if not terms or "".join(term[0] for term in terms) != text:
        return None
    return sum(float(term["number"]) * _SECONDS[term["unit"]] for term in terms)
