"""The provider's list of models in our words."""

from collections.abc import Sequence

import msgspec

from gateway.generation.views import Model
from gateway.plugin_api import decode_json

__all__ = ["fallback_models", "read_models"]

_CHAT_TYPES = ("t2t", "t2i", "t2v")


class _Meta(msgspec.Struct, frozen=True):
    description: str | None = None
    short_description: str | None = None
    max_context_length: int | None = None
    capabilities: dict[str, object] | None = None
    chat_type: tuple[str, ...] | None = None


class _Info(msgspec.Struct, frozen=True):
    is_active: bool | None = None
    meta: _Meta | None = None


class _Entry(msgspec.Struct, frozen=True):
    id: str
    name: str | None = None
    owned_by: str | None = None
    info: _Info | None = None


class _Envelope(msgspec.Struct, frozen=True):
    data: msgspec.Raw = msgspec.Raw(b"[]")


_envelope = msgspec.json.Decoder(_Envelope)
_entries = msgspec.json.Decoder(tuple[_Entry, ...])


def read_models(body: bytes) -> list[Model]:
    """Return the active models of either form: a list in `data`, or a list in `data.data`.

    Raises `InvalidAnswer`.
    """
    data = decode_json(body, _envelope).data
    if bytes(data).lstrip().startswith(b"{"):
        data = decode_json(bytes(data), _envelope).data
    entries = decode_json(bytes(data), _entries)
    return [_model(entry) for entry in entries if entry.info is None or entry.info.is_active is not False]


def fallback_models(ids: Sequence[str]) -> list[Model]:
    """Return models of which nothing but the id is known. Pictures and videos do not depend on the model."""
    return [Model(id=id_, chat_types=_CHAT_TYPES, vision="-vl-" in id_) for id_ in ids]


def _model(entry: _Entry) -> Model:
    """`capabilities` says what a model can take in, `chat_type` what can be made with it."""
    meta = (entry.info and entry.info.meta) or _Meta()
    offered = meta.chat_type or ("t2t",)
    return Model(
        id=entry.id,
        name=entry.name or entry.id,
        owned_by=entry.owned_by or "qwen",
        description=meta.description or meta.short_description or "",
        chat_types=tuple(kind for kind in _CHAT_TYPES if kind in offered),
        vision=(meta.capabilities or {}).get("vision") is True,
        context_length=meta.max_context_length or 0,
    )
