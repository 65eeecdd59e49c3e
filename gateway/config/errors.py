"""What is wrong with a configuration, said with the key's full path."""

import re
from difflib import get_close_matches
from typing import Annotated, Any, get_args, get_origin

import msgspec

__all__ = ["ConfigError", "explain"]


class ConfigError(Exception):
    """The configuration cannot be used; the message names the key and what to do."""


_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"unknown field `(?P<name>[^`]*)`")


def explain(error: msgspec.ValidationError, settings: type[msgspec.Struct], prefix: str = "") -> str:
    """Say a validation error with the key's full path and, for an unknown key, the nearest known one."""
    found = _PLACE.match(str(error))
    what, path = (found["what"], found["path"] or "") if found else (str(error), "")
    unknown = _UNKNOWN.search(what)
    if not unknown:
        return f"{_join(prefix, path)}: {what}"
    near = get_close_matches(unknown["name"], _known_keys(settings, path), n=1)
    hint = f"; did you mean {_join(prefix, path, near[0])}?" if near else ""
    return f"unknown key {_join(prefix, path, unknown['name'])}{hint}"


def _join(*parts: str) -> str:
    return ".".join(part for part in parts if part) or "the configuration"


def _known_keys(settings: Any, path: str) -> list[str]:
    """Return the keys of the table at `path`, found by walking the types."""
    for step in re.findall(r"[^.\[\]]+|\[[^\]]*\]", path):
        settings = _step(settings, step)
    known = msgspec.inspect.type_info(settings)
    return (
        [field.encode_name for field in known.fields] if isinstance(known, msgspec.inspect.StructType) else []
    )


def _step(settings: Any, step: str) -> Any:
    if step.startswith("["):
        return next((arg for arg in get_args(settings) if arg is not ...), Any)
    fields = {field.name: field.type for field in msgspec.structs.fields(settings)}
    found = fields.get(step, Any)
    return get_args(found)[0] if get_origin(found) is Annotated else found
