"""Decide whether a question wants a tool, and with which arguments."""

import re
from typing import Any

import msgspec

from .prompt import Tool
from .schema import make_value

__all__ = ["call_for", "speak_results"]

_WORD = re.compile(r"[^\W\d_]{3,}")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_IDLE = {
    "the",
    "and",
    "for",
    "get",
    "from",
    "with",
    "that",
    "this",
    "what",
    "how",
    "can",
    "you",
    "use",
    "are",
}
_PLACE = re.compile(r"\b(?:in|for|at|of|to|about|near)\s+((?:[A-Z][\w'-]*)(?:[ ,]+[A-Z][\w'-]*)*)")
_QUOTED = re.compile(r"[\"“«]([^\"”»]+)[\"”»]|(?<!\w)'([^']+)'(?!\w)")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_NAME_WEIGHT = 3
_ENOUGH = 2


def call_for(text: str, tools: tuple[Tool, ...], seed: int, *, forced: bool = False) -> str | None:
    """Return the `<tool_call>` line for the tool that fits the question best; if `forced`, for any fit."""
    best = max(tools, key=lambda tool: _fit(text, tool), default=None)
    if best is None or not (forced or _fit(text, best) >= _ENOUGH):
        return None
    call = {"name": best.name, "arguments": _arguments(best.parameters, text, seed)}
    return f"<tool_call>{msgspec.json.encode(call).decode()}</tool_call>"


def speak_results(results: tuple[str, ...]) -> str:
    """Return an answer in plain words that uses what the tools returned."""
    lines = [_plain(result) for result in results]
    return "Here is what I found: " + "; ".join(lines) + "."


def _plain(result: str) -> str:
    try:
        value = msgspec.json.decode(result)
    except msgspec.DecodeError:
        return result.rstrip(".")
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} is {item}" for name, item in value.items())
    return str(value)


def _fit(text: str, tool: Tool) -> int:
    asked = _stems(text)
    if tool.name in text:
        return _NAME_WEIGHT * 10
    name = _stems(_CAMEL.sub(" ", tool.name).replace("_", " "))
    return _NAME_WEIGHT * len(asked & name) + len(asked & _stems(tool.description))


def _stems(text: str) -> set[str]:
    return {word.lower()[:6] for word in _WORD.findall(text) if word.lower() not in _IDLE}


def _arguments(schema: dict[str, Any], text: str, seed: int) -> dict[str, Any]:
    properties = schema.get("properties", {})
    numbers = [float(found) for found in _NUMBER.findall(text)]
    made = make_value({"type": "object", **schema}, "", seed)
    found = {name: _from_text(properties[name], text, numbers) for name in properties}
    required = schema.get("required", list(properties))
    wanted = [name for name in properties if name in required or found[name] is not None]
    return {name: made[name] if found[name] is None else found[name] for name in wanted}


def _from_text(schema: Any, text: str, numbers: list[float]) -> Any:
    kind = schema.get("type") if isinstance(schema, dict) else None
    if isinstance(schema, dict) and schema.get("enum"):
        return next((choice for choice in schema["enum"] if str(choice).lower() in text.lower()), None)
    if kind in ("number", "integer") and numbers:
        number = numbers.pop(0)
        return round(number) if kind == "integer" or number.is_integer() else number
    if kind == "string":
        return _words_for(text)
    return None


def _words_for(text: str) -> str:
    if match := _QUOTED.search(text):
        return match[1] or match[2]
    if match := _PLACE.search(text):
        return match[1]
    return text.strip().rstrip("?.!")
