"""Made values obey their schema: checked by a small validator of the test's own."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_sandbox.speech.schema import find_schema, make_value

TYPES = {"string": str, "boolean": bool, "array": list, "object": dict, "null": type(None)}


def obeys(value, schema):
    """Whether a value fits; knows the keywords that the strategies below use."""
    if "enum" in schema:
        return value in schema["enum"]
    kind = schema["type"]
    if kind in ("integer", "number"):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        whole = kind == "number" or isinstance(value, int)
        inside = schema.get("minimum", -math.inf) <= value <= schema.get("maximum", math.inf)
        return number and whole and inside
    if not isinstance(value, TYPES[kind]):
        return False
    if kind == "string":
        return schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", math.inf)
    if kind == "array":
        fits = schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", math.inf)
        return fits and all(obeys(item, schema["items"]) for item in value)
    if kind == "object":
        known = schema["properties"]
        return value.keys() == known.keys() and all(obeys(value[name], known[name]) for name in known)
    return True


def span(low, high, least, most):
    return st.tuples(st.integers(least, most), st.integers(0, 50)).map(
        lambda p: {low: p[0], high: p[0] + p[1]}
    )


def typed(kind, *extra):
    return st.tuples(*extra).map(
        lambda parts: {"type": kind, **{k: v for part in parts for k, v in part.items()}}
    )


LEAVES = st.one_of(
    typed("string", span("minLength", "maxLength", 0, 40)),
    typed("integer", span("minimum", "maximum", -1000, 1000)),
    typed("number", span("minimum", "maximum", -1000, 1000)),
    typed("string"),
    typed("boolean"),
    typed("null"),
    st.lists(st.integers() | st.text(max_size=5), min_size=1, max_size=4).map(
        lambda choices: {"enum": choices}
    ),
)
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        inner.map(lambda items: {"type": "array", "items": items}),
        st.tuples(inner, span("minItems", "maxItems", 0, 4)).map(
            lambda p: {"type": "array", "items": p[0], **p[1]}
        ),
        st.dictionaries(st.text(min_size=1, max_size=6), inner, max_size=4).map(
            lambda known: {"type": "object", "properties": known, "required": list(known)}
        ),
    ),
    max_leaves=8,
)


@given(SCHEMAS, st.text(), st.integers(0, 2**32))
def test_a_made_value_obeys(schema, text, seed):
    value = make_value(schema, text, seed)
    assert obeys(json.loads(json.dumps(value)), schema)
    assert value == make_value(schema, text, seed)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"const": 5}, 5),
        ({"type": ["null", "boolean"]}, None),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"const": "x"}}}, "x"),
        ({"anyOf": [{"const": 1}, {"const": 2}]}, 1),
        (
            {"allOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"b": {"const": 2}}}]},
            {"a": 1, "b": 2},
        ),
        ({"type": "integer", "exclusiveMinimum": 3, "maximum": 4}, 4),
        ({"type": "integer", "multipleOf": 7, "minimum": 8, "maximum": 20}, 14),
        ({"type": "string", "format": "date"}, "2026-03-14"),
    ],
)
def test_the_rarer_words(schema, value):
    made = make_value(schema, "", 1)
    assert made == value or (value is None and isinstance(made, bool))


def test_a_schema_that_holds_itself_comes_to_an_end():
    node = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}
    assert "next" in make_value(node, "", 1)
    assert make_value({"$ref": "#"}, "", 1) is not None


ODD_LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
ODD_WORDS = st.sampled_from(["object", "array", "string", "integer", "number", "#"])
ODD_KEYS = st.sampled_from(
    [
        "type",
        "properties",
        "items",
        "required",
        "enum",
        "$ref",
        "anyOf",
        "allOf",
        "minItems",
        "minLength",
        "maxLength",
        "minimum",
        "maximum",
        "multipleOf",
        "exclusiveMinimum",
        "format",
    ]
)
ODD_SCHEMAS = st.recursive(
    ODD_LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ODD_KEYS, inner | ODD_WORDS, max_size=5),
    max_leaves=12,
).filter(lambda value: isinstance(value, dict))


@given(ODD_SCHEMAS)
def test_what_is_no_schema_harms_nobody(schema):
    make_value(schema, "7 Paris", 1)


@pytest.mark.parametrize("wrapper", ["schema", "json_schema"])
def test_a_wrapped_schema_is_found(wrapper):
    schema = {"type": "object", "properties": {}}
    assert find_schema(iter([{"a": 1}, {wrapper: schema}])) == schema
    assert find_schema(iter([{"a": 1}])) is None
