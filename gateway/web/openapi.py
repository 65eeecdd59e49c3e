"""The OpenAPI document, made from the table of routes and the Structs that describe their bodies."""

import re
from collections.abc import Iterable, Mapping, Sequence
from types import UnionType
from typing import Any, get_args

import msgspec

from gateway import __version__
from gateway.dialects.base import Dialect, Purpose, Route
from gateway.web.operations import OPERATIONS, Operation

__all__ = ["build_document", "encode_document"]

_REFERENCE = "#/components/schemas/{name}"
_PAGED = frozenset({Purpose.TASK_LIST, Purpose.FILE_LIST})
_BYTES = frozenset({Purpose.TASK_CONTENT, Purpose.FILE_CONTENT})
_STREAMS = frozenset({Purpose.GENERATE, Purpose.TASK_EVENTS})
_PAGE_QUERY = (
    ("after", "The last item of the page before.", {"type": "string"}),
    ("limit", "How many items, 1 to 100.", {"type": "integer", "default": 20}),
    ("order", "By time of creation.", {"type": "string", "enum": ["asc", "desc"], "default": "desc"}),
)
_ERRORS = {
    "400": "The request cannot be served as it is.",
    "401": "No key, or a wrong one.",
    "404": "No such object, or another key's.",
    "429": "A limit; `retry-after` says for how long.",
    "502": "The provider failed.",
    "503": "Nobody can serve now.",
}


def build_document(dialects: Sequence[Dialect]) -> dict[str, Any]:
    """Return the document of everything that the gateway serves."""
    routes = [(dialect, route) for dialect in dialects for route in dialect.routes]
    kinds = _kinds(routes)
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
    described = dict(zip(map(str, kinds), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for dialect, route in routes:
        place = paths.setdefault(_plain(route.path), {})
        place[route.method.lower()] = _operation(dialect, route, described)
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operators(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "qwen-gateway",
            "version": __version__,
            "description": "Qwen's chat, images and videos behind OpenAI's API and a native one.",
        },
        "security": [{"bearer": []}, {}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(components.items())),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def encode_document(document: Mapping[str, Any]) -> bytes:
    """Write the document so that two runs and two versions can be compared line by line."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _kinds(routes: Iterable[tuple[Dialect, Route]]) -> list[Any]:
    """Return every type that describes a body, once."""
    described = (kind for _, route in routes for kind in (route.body, route.answer) if kind is not None)
    kinds = {str(one): one for kind in described for one in _alternatives(kind)}
    return list(kinds.values())


def _alternatives(kind: Any) -> tuple[Any, ...]:
    """Split a union: msgspec describes unions of tagged Structs only."""
    return get_args(kind) if isinstance(kind, UnionType) else (kind,)


def _schema(kind: Any, described: Mapping[str, Any]) -> Any:
    schemas = [described[str(one)] for one in _alternatives(kind)]
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _plain(path: str) -> str:
    return re.sub(r":[a-z]+}", "}", path)


def _operation(dialect: Dialect, route: Route, described: Mapping[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "tags": [dialect.name],
        "summary": route.summary,
        "responses": {"200": _answer(route, described), **_error_answers()},
    }
    parameters = _parameters(route)
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        schema = _schema(route.body, described)
        forms = {"multipart/form-data": {"schema": schema}} if route.forms else {}
        json = {} if route.purpose is Purpose.FILE_CREATE else {"application/json": {"schema": schema}}
        operation["requestBody"] = {"required": True, "content": json | forms}
    return operation


def _operation_id(route: Route) -> str:
    words = re.findall(r"[A-Za-z0-9]+", route.path)
    return "_".join([route.method.lower(), *words])


def _answer(route: Route, described: Mapping[str, Any]) -> dict[str, Any]:
    if route.purpose in _BYTES:
        return {"description": "The bytes; ranges are served.", "content": {"application/octet-stream": {}}}
    schema = _schema(route.answer, described) if route.answer is not None else {}
    content: dict[str, Any] = (
        {} if route.purpose is Purpose.TASK_EVENTS else {"application/json": {"schema": schema}}
    )
    if route.purpose in _STREAMS:
        content["text/event-stream"] = {"schema": {"type": "string"}}
    return {"description": "Success.", "content": content}


def _error_answers() -> dict[str, Any]:
    return {status: {"description": sentence} for status, sentence in _ERRORS.items()}


def _parameters(route: Route) -> list[dict[str, Any]]:
    path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{([a-z_]+)", route.path)
    ]
    paged = _PAGE_QUERY if route.purpose in _PAGED else ()
    query = [
        {"name": name, "in": "query", "description": text, "schema": schema} for name, text, schema in paged
    ]
    return path + query


def _operators(operation: Operation) -> dict[str, Any]:
    return {
        "operationId": operation.path.strip("/").replace("/", "_"),
        "tags": ["operations"],
        "summary": operation.summary,
        "responses": {"200": {"description": "Success.", "content": {operation.media_type: {}}}},
    }
