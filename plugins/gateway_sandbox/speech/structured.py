"""JSON on demand: by the schema or the keys that the prompt names."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from .case import Case
from .prose import language_of, remark
from .schema import find_schema, make_value

__all__ = ["write_json"]

_WANTS_JSON = re.compile(
    r"json[ _](?:object|schema|only|format|output|mode)|"
    r"(?:in|as|valid|return|only|with|output|raw|a|me)\s+json|"
    r"(?:reply|respond|answer)\b.{0,60}\bjson|\bв (?:формате )?json",
    re.IGNORECASE | re.DOTALL,
)
_KEYS = re.compile(
    r"\b(?:keys?|fields?|properties)\s*:?\s+((?:[`\"']?\w+[`\"']?(?:\s*,\s*and\s+|\s*,\s*|\s+and\s+)?)+)"
)


def write_json(case: Case) -> str | None:
    """Return the JSON text that was asked for, None if none was."""
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
    """Return the JSON objects that stand in a text."""
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
