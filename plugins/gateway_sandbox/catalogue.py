"""The models that the sandbox offers, described as the real list describes them."""

from typing import Any

import msgspec

__all__ = ["is_known", "max_context", "model_list"]

_EVERYTHING = ("t2t", "t2v", "t2i", "image_edit", "search", "artifacts", "web_dev", "deep_research")
_TEXT_ONLY = ("t2t", "search", "artifacts", "web_dev")


class _Model(msgspec.Struct, frozen=True):
    id: str
    name: str
    description: str
    context: int = 262_144
    vision: bool = False
    audio: bool = False
    thinking: bool = True
    chat_types: tuple[str, ...] = _EVERYTHING


_MODELS = (
    _Model("qwen3-max", "Qwen3-Max", "The strongest model of the family.", thinking=False),
    _Model("qwen-max-latest", "Qwen2.5-Max", "The long-standing default.", 131_072, thinking=False),
    _Model("qwen3-vl-plus", "Qwen3-VL", "Sees pictures and films.", vision=True),
    _Model(
        "qwen3-coder-plus",
        "Qwen3-Coder",
        "Writes programs.",
        1_048_576,
        thinking=False,
        chat_types=_TEXT_ONLY,
    ),
    _Model("qwen3.8-max", "Qwen3.8-Max", "The newest large model.", vision=True),
    _Model("qwen3.7-plus", "Qwen3.7-Plus", "Quick and capable.", vision=True),
    _Model("qwen3.5-plus", "Qwen3.5-Plus", "A capable older sibling.", vision=True),
    _Model("qwen3.5-omni-plus", "Qwen3.5-Omni", "Sees and hears.", vision=True, audio=True),
    _Model("qwen-plus-latest", "Qwen-Plus", "A balance of speed and wit."),
    _Model("qwen-turbo-latest", "Qwen-Turbo", "The quickest.", 1_000_000, chat_types=_TEXT_ONLY),
)
_BY_ID = {model.id: model for model in _MODELS}
_GENERATION = 32_768


def is_known(model_id: str) -> bool:
    """Whether there is such a model."""
    return model_id in _BY_ID


def max_context(model_id: str) -> int:
    """Return the most input tokens that a known model takes."""
    return _BY_ID[model_id].context


def model_list() -> list[dict[str, Any]]:
    """Return the `data` array of the models route."""
    return [_describe(model) for model in _MODELS]


def _describe(model: _Model) -> dict[str, Any]:
    info = {
        "id": model.id,
        "name": model.name,
        "is_active": True,
        "is_visitor_active": True,
        "meta": _meta(model),
    }
    return {
        "id": model.id,
        "name": model.name,
        "object": "model",
        "owned_by": "qwen",
        "info": info,
        "preset": True,
        "action_ids": [],
    }


def _meta(model: _Model) -> dict[str, Any]:
    inputs = {"vision": model.vision, "document": True, "video": model.vision, "audio": model.audio}
    modality = ["text", *(["image", "video"] if model.vision else []), *(["audio"] if model.audio else [])]
    return {
        "description": model.description,
        "short_description": model.description,
        "max_context_length": model.context,
        "max_generation_length": _GENERATION,
        "max_summary_generation_length": _GENERATION,
        "capabilities": {**inputs, "thinking": model.thinking, "search": True, "citations": True},
        "abilities": {"thinking": int(model.thinking)},
        "chat_type": list(model.chat_types),
        "modality": modality,
        "mcp": [],
    }
