"""The JSON Schema of gateway.toml, made from the Structs that it is decoded into."""

from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.config import HttpClient, KeyDigest, Settings
from gateway.plugin_api.registry import UPSTREAMS, Registry
from gateway.telemetry.redaction import Secret

__all__ = ["describe_settings"]

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


class AccountSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One account of an upstream. At most one of the four secrets is set; other keys are the plugin's own."""

    id: str
    token: str | msgspec.UnsetType = msgspec.UNSET
    token_file: str | msgspec.UnsetType = msgspec.UNSET
    api_key: str | msgspec.UnsetType = msgspec.UNSET
    api_key_file: str | msgspec.UnsetType = msgspec.UNSET
    concurrency: int | None = None
    chat_types: tuple[str, ...] | None = None


class UpstreamSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One upstream; keys that are not named here are options of the plugin that `kind` names."""

    kind: str
    http_client: HttpClient = "own"
    accounts: tuple[AccountSettings, ...] = ()


def describe_settings() -> dict[str, Any]:
    """Return the schema. Upstreams are described as they are written, not as they are decoded."""
    schema = msgspec.json.schema(Settings, schema_hook=_describe_own_type)
    definitions = dict(sorted({**schema["$defs"], **_describe_upstreams()}.items()))
    return {"$schema": _DIALECT, "title": "gateway.toml", **schema, "$defs": definitions}


def _describe_upstreams() -> dict[str, Any]:
    """Return the definitions of an upstream's table: the options depend on its kind."""
    registry = Registry()
    kinds = {kind: registry.upstream_settings(kind) for kind in registry.names(UPSTREAMS)}
    references, definitions = msgspec.json.schema_components(
        [UpstreamSettings, *kinds.values()], schema_hook=_describe_own_type, ref_template="#/$defs/{name}"
    )
    choices = []
    for kind, reference in zip(kinds, references[1:], strict=True):
        # Our own keys stand beside the plugin's: only the whole table can say which are unknown.
        definitions[reference["$ref"].rpartition("/")[2]].pop("additionalProperties", None)
        choices.append({"if": {"properties": {"kind": {"const": kind}}}, "then": reference})
    definitions["UpstreamSettings"] |= {"allOf": choices, "unevaluatedProperties": False}
    definitions["UpstreamSettings"]["properties"]["kind"] = {"enum": list(kinds)}
    return definitions


def _describe_own_type(kind: type) -> dict[str, Any]:
    if kind in (Secret, KeyDigest):
        return {"type": "string", "writeOnly": True}
    if kind is Path:
        return {"type": "string"}
    raise NotImplementedError
