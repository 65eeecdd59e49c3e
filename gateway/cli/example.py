"""A commented gateway.toml, made from the settings themselves: it cannot be out of date."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import inspect

from gateway.config import Settings

__all__ = ["write_example"]

_HEAD: Final = """\
# qwen-gateway. Every setting is here with its default; remove the # of what you change.
# Any text may hold ${env:NAME}. "gateway check" says whether all is well.
"""
_UPSTREAMS: Final = """
# {description}
# [upstreams.qwen]
# kind = "qwen_chat"
# base_url = "https://chat.qwen.ai"
# http_client = "own"                 # or "httpx-aiohttp"
# [[upstreams.qwen.accounts]]
# id = "main"
# token = "${{env:QWEN_TOKEN}}"        # or token_file

# [upstreams.local]
# kind = "openai_compatible"
# base_url = "http://127.0.0.1:11434/v1"
"""
_ROUTES: Final = """
# {description}
# [routes]
# t2t = ["qwen", "local"]
"""
_BY_HAND: Final = {"upstreams": _UPSTREAMS, "routes": _ROUTES}


def write_example() -> str:
    """Return the text of a configuration that sets nothing and shows everything."""
    return _HEAD + "".join(_table(field) for field in _fields(Settings))


def _table(field: inspect.Field) -> str:
    by_hand = _BY_HAND.get(field.name)
    if by_hand is not None:
        return by_hand.format(description=_description(field.type))
    assert isinstance(field.type, inspect.StructType), "every other setting is in a table"
    title = f"\n[{field.name}]  # {(field.type.cls.__doc__ or '').splitlines()[0]}\n"
    return title + "".join(f"{line}\n" for line in _lines(field))


def _lines(table: inspect.Field) -> Iterator[str]:
    for field in _fields(table.type.cls if isinstance(table.type, inspect.StructType) else None):
        default = msgspec.json.encode(_default(field)).decode()
        yield f"# {field.encode_name} = {default}  # {_description(field.type)}"


def _fields(kind: Any) -> tuple[inspect.Field, ...]:
    described = inspect.type_info(kind)
    assert isinstance(described, inspect.StructType), "settings are Structs"
    return described.fields


def _default(field: inspect.Field) -> Any:
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()


def _description(kind: inspect.Type) -> str:
    schema = (kind.extra_json_schema or {}) if isinstance(kind, inspect.Metadata) else {}
    return str(schema.get("description", ""))
