"""The OpenAPI document for people: one page, no scripts, nothing from elsewhere."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from html import escape
from typing import Any

from litestar import Response, get
from litestar.handlers import BaseRouteHandler

from gateway.dialects.base import Dialect
from gateway.web.openapi import build_document, encode_document
from gateway.web.operations import OPENAPI, OPENAPI_JSON

__all__ = ["openapi_routes", "render_page"]

_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
    "x-content-type-options": "nosniff",
}
_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --dim: #777; --accent: #615ced; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 2rem 1rem 6rem; }
h1 { font-size: 1.9rem; margin: 0; } h2 { margin: 2.5rem 0 .5rem; font-size: 1.15rem; }
h1 small, .dim { color: var(--dim); font-weight: normal; font-size: .9rem; }
a { color: var(--accent); } code { font: .9em ui-monospace, monospace; }
details { border: 1px solid var(--line); border-radius: .5rem; margin: .4rem 0; }
summary { cursor: pointer; padding: .5rem .8rem; display: flex; gap: .8rem; align-items: baseline;
          flex-wrap: wrap; }
summary:hover { background: var(--soft); } details > div { padding: 0 .8rem .8rem; }
b { font: 600 .75rem ui-monospace, monospace; min-width: 4.2em; text-align: center; color: #fff;
    border-radius: .3rem; padding: .1rem .3rem; background: var(--accent); }
b.GET { background: #2b7a4b; } b.DELETE { background: #b3382c; }
h3 { font-size: .85rem; margin: .8rem 0 .2rem; color: var(--dim); font-weight: 600; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
td { border-top: 1px solid var(--line); padding: .25rem .6rem .25rem 0; vertical-align: top; }
td:first-child { white-space: nowrap; width: 14rem; }
"""


def openapi_routes(dialects: Sequence[Dialect]) -> list[BaseRouteHandler]:
    """Return the handlers of the document and of its page; both are made when first asked for."""

    @cache
    def document() -> dict[str, Any]:
        return build_document(dialects)

    @cache
    def text() -> bytes:
        return encode_document(document())

    @cache
    def page() -> bytes:
        return render_page(document())

    @get(OPENAPI_JSON.path, sync_to_thread=False)
    def openapi_json() -> Response[bytes]:
        return Response(text(), media_type="application/json")

    @get(OPENAPI.path, sync_to_thread=False)
    def openapi_page() -> Response[bytes]:
        return Response(page(), media_type="text/html", headers=_HEADERS)

    return [openapi_json, openapi_page]


def render_page(document: Mapping[str, Any]) -> bytes:
    """Write the document as HTML."""
    info = document["info"]
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            groups[operation["tags"][0]].append(_operation(document, path, method, operation))
    body = "".join(f"<h2>{escape(tag)}</h2>{''.join(found)}" for tag, found in sorted(groups.items()))
    title = escape(info["title"])
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body>"
        f"<h1>{title} <small>{escape(info['version'])}</small></h1>"
        f"<p>{escape(info['description'])} "
        f'<a href="{OPENAPI_JSON.path}">The same for programs.</a></p>{body}</body></html>\n'
    ).encode()


def _operation(document: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any]) -> str:
    parts = [_table("Parameters", _parameters(operation))]
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(_table(f"Body: {kind}", _fields(document, content["schema"])))
    for kind, content in operation["responses"]["200"].get("content", {}).items():
        parts.append(_table(f"Answer: {kind}", _fields(document, content.get("schema", {}))))
    errors = ((status, error["description"]) for status, error in operation["responses"].items())
    parts.append(_table("Errors", [(status, text) for status, text in errors if status != "200"]))
    name = method.upper()
    return (
        f'<details><summary><b class="{name}">{name}</b><code>{escape(path)}</code>'
        f'<span class="dim">{escape(operation["summary"])}</span></summary>'
        f"<div>{''.join(parts)}</div></details>"
    )


def _table(title: str, rows: Sequence[tuple[str, str]]) -> str:
    """Write names and what they mean; a heading alone where nothing is described."""
    lines = "".join(f"<tr><td><code>{escape(name)}</code><td>{escape(text)}" for name, text in rows)
    if not lines:
        return f"<h3>{escape(title)}</h3>" if ":" in title else ""
    return f"<h3>{escape(title)}</h3><table>{lines}</table>"


def _parameters(operation: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (one["name"], one.get("description", f"in the {one['in']}"))
        for one in operation.get("parameters", ())
    ]


def _fields(document: Mapping[str, Any], schema: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the fields of a body; of several alternatives, those of each."""
    return [row for shape in _shapes(document, schema) for row in _rows(shape)]


def _shapes(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for one in schema.get("anyOf", (schema,)):
        name = one.get("$ref", "").rpartition("/")[2]
        yield document["components"]["schemas"][name] if name else one


def _rows(shape: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    required = frozenset(shape.get("required", ()))
    for name, schema in shape.get("properties", {}).items():
        yield name, _kind(schema) + (", required" if name in required else "")


def _kind(schema: Mapping[str, Any]) -> str:
    """Say in a few words what a value is."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(_kind(one) for one in schema["anyOf"]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return str(schema.get("type", "any"))
