"""Make a JSON value that obeys a simple JSON schema, with details taken from a text."""

import math
import random
import re
from collections.abc import Iterator
from typing import Any

__all__ = ["find_schema", "make_value"]

_MAX_DEPTH = 8
_MOST_ITEMS = 64
_MOST_CHARS = 4096
_NUMBER = re.compile(r"(?<![\w.])-?\d{1,9}(?:\.\d{1,6})?")
_NAME = re.compile(r"\b[A-Z][a-z]{2,}\b")
_OPENERS = {
    "Answer",
    "Create",
    "Extract",
    "For",
    "From",
    "Generate",
    "Give",
    "Output",
    "Please",
    "Return",
    "The",
    "What",
}
_WORDS = ("amber", "birch", "cedar", "dune", "ember", "fjord", "grove", "harbor", "indigo", "juniper")
_FORMATS = {
    "date": "2026-03-14",
    "date-time": "2026-03-14T09:26:53Z",
    "time": "09:26:53Z",
    "email": "ada@example.com",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "uuid": "3f2b8c1e-5d4a-4e6f-9a7b-1c2d3e4f5a6b",
    "ipv4": "192.0.2.1",
    "hostname": "example.com",
}
_SCHEMA_KEYS = {"properties", "$ref", "enum", "anyOf", "oneOf", "allOf", "items", "const"}
_TYPES = {"object", "array", "string", "number", "integer", "boolean", "null"}


def find_schema(values: Iterator[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the first JSON schema among objects of a text, also below a `schema` or `json_schema` key."""
    for value in values:
        for wrapper in ("json_schema", "schema"):
            if isinstance(value.get(wrapper), dict):
                value = value[wrapper]
        if value.keys() & _SCHEMA_KEYS or value.get("type") in _TYPES:
            return value
    return None


def make_value(schema: dict[str, Any], text: str, seed: int) -> Any:
    """Return a value that obeys the schema; numbers and names of the text are used in their order.

    What is no schema, or none that can be obeyed, gives an empty object.
    """
    try:
        return _Maker(schema, text, seed).make(schema, 0)
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError):
        return {}  # no schema, or one that contradicts itself


class _Maker:
    def __init__(self, root: dict[str, Any], text: str, seed: int) -> None:
        self._root = root
        self._random = random.Random(seed)  # noqa: S311  # repeatable, not secret
        self._numbers = iter([float(number) for number in _NUMBER.findall(text)])
        self._names = iter([name for name in _NAME.findall(text) if name not in _OPENERS])

    def make(self, schema: Any, depth: int) -> Any:
        if not isinstance(schema, dict) or depth > _MAX_DEPTH:
            return None if depth > _MAX_DEPTH else self._word()
        schema = self._resolve(schema)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._random.choice(schema["enum"])
        return self._by_type(schema, depth)

    def _by_type(self, schema: dict[str, Any], depth: int) -> Any:
        kind = _type_of(schema)
        if kind == "object":
            properties = schema.get("properties", {})
            required = [name for name in schema.get("required", []) if name not in properties]
            return {name: self.make(properties.get(name, {}), depth + 1) for name in [*properties, *required]}
        if kind == "array":
            count = min(max(schema.get("minItems", 0), min(2, schema.get("maxItems", 2))), _MOST_ITEMS)
            return [self.make(schema.get("items", {}), depth + 1) for _ in range(count)]
        if kind in ("number", "integer"):
            return self._number(schema, whole=kind == "integer")
        if kind == "boolean":
            return self._random.random() < 0.5
        return None if kind == "null" else self._string(schema)

    def _resolve(self, schema: dict[str, Any]) -> dict[str, Any]:
        for _ in range(_MAX_DEPTH):
            if isinstance(reference := schema.get("$ref"), str):
                schema = {**self._lookup(reference), **{k: v for k, v in schema.items() if k != "$ref"}}
            elif choices := schema.get("anyOf") or schema.get("oneOf"):
                rest = {k: v for k, v in schema.items() if k not in ("anyOf", "oneOf")}
                schema = {**rest, **choices[0]}
            elif parts := schema.get("allOf"):
                schema = _merge([{k: v for k, v in schema.items() if k != "allOf"}, *parts])
            else:
                break
        return schema

    def _lookup(self, reference: str) -> dict[str, Any]:
        node: Any = self._root
        for part in reference.removeprefix("#").strip("/").split("/"):
            node = node.get(part, {}) if part and isinstance(node, dict) else node
        return node if isinstance(node, dict) else {}

    def _number(self, schema: dict[str, Any], *, whole: bool) -> int | float:
        step = schema.get("multipleOf", 1 if whole else None)
        low = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf))
        high = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf))
        value = next(self._numbers, None)
        if value is None or not low < value < high:
            value = _between(low, high, self._random.random())
        if step:
            value = _on_grid(value, step, low, high, strict="exclusiveMinimum" in schema)
        return round(value) if whole else value

    def _string(self, schema: dict[str, Any]) -> str:
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        text = self._word()
        while len(text) < min(schema.get("minLength", 0), _MOST_CHARS):
            text += " " + self._word()
        return text[: schema.get("maxLength", len(text))]

    def _word(self) -> str:
        return next(self._names, None) or self._random.choice(_WORDS)


def _type_of(schema: dict[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        return next((name for name in kind if name != "null"), "null")
    if kind is None:
        return "object" if "properties" in schema else "array" if "items" in schema else "string"
    return str(kind)


def _merge(parts: list[dict[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for part in parts:
        properties = {**merged.get("properties", {}), **part.get("properties", {})}
        required = [*merged.get("required", []), *part.get("required", [])]
        merged |= part
        if properties:
            merged |= {"properties": properties, "required": required}
    return merged


def _between(low: float, high: float, share: float) -> float:
    if low == -math.inf:
        low = min(0.0, high - 100)
    if high == math.inf:
        high = low + 100
    return round(low + (high - low) * (0.25 + share / 2), 3)


def _on_grid(value: float, step: float, low: float, high: float, *, strict: bool) -> float:
    """Return the multiple of `step` nearest to the value that lies within the limits."""
    least, most = math.ceil(low / step) if low > -math.inf else -math.inf, high // step
    if strict and least * step <= low:
        least += 1
    return min(max(round(value / step), least), most) * step
