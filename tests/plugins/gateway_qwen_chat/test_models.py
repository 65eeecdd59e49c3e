"""The list of models in both forms."""

import msgspec
import pytest

from gateway.generation.errors import InvalidAnswer
from gateway.generation.views import Model
from gateway_qwen_chat.models import fallback_models, read_models

META = {
    "description": "Sees.",
    "max_context_length": 262144,
    "capabilities": {"vision": True},
    "chat_type": ["t2t", "t2v", "t2i", "image_edit"],
}
LISTED = [
    {
        "id": "qwen3-vl-plus",
        "name": "Qwen3 VL",
        "owned_by": "qwen",
        "info": {"is_active": True, "meta": META},
    },
    {"id": "plain"},
    {"id": "retired", "info": {"is_active": False}},
]
READ = [
    Model(
        id="qwen3-vl-plus",
        name="Qwen3 VL",
        description="Sees.",
        chat_types=("t2t", "t2i", "t2v"),
        vision=True,
        context_length=262144,
    ),
    Model(id="plain", name="plain"),
]


@pytest.mark.parametrize("body", [{"data": LISTED}, {"success": True, "data": {"data": LISTED}}])
def test_both_forms_are_read(body: dict) -> None:
    assert read_models(msgspec.json.encode(body)) == READ


@pytest.mark.parametrize("body", [b"[]", b'{"data":7}', b'{"data":[{"name":"x"}]}', b"<html>"])
def test_another_form_is_invalid(body: bytes) -> None:
    with pytest.raises(InvalidAnswer):
        read_models(body)


def test_the_fallback_makes_everything() -> None:
    assert fallback_models(("qwen3-max", "qwen3-vl-plus")) == [
        Model(id="qwen3-max", chat_types=("t2t", "t2i", "t2v")),
        Model(id="qwen3-vl-plus", chat_types=("t2t", "t2i", "t2v"), vision=True),
    ]
