"""Recorded bodies: what comes in against the vocabulary, the vocabulary against what goes out."""

import json
from typing import Any

import msgspec
import pytest

from gateway.dialects.base import Dialect
from gateway.generation.requests import GenerationRequest
from gateway.generation.results import GenerationResult, Reply
from gateway.generation.views import Chat, Deleted, Model, Page, StoredFile, TaskView
from tests.dialects.cases import DIALECTS, GOLDEN, REPLY, REQUEST, answer, call

BY_NAME: dict[str, Dialect] = {dialect.name: dialect for dialect in DIALECTS}
VIEWS: dict[str, Any] = {
    "task": TaskView,
    "model": Model,
    "file": StoredFile,
    "chat": Chat,
    "deleted": Deleted,
    "tasks": Page[TaskView],
    "models": Page[Model],
    "files": Page[StoredFile],
}


def cases(name: str) -> list[Any]:
    entries = json.loads((GOLDEN / name).read_text("utf-8"))
    return [pytest.param(entry, id=entry["name"]) for entry in entries]


@pytest.mark.parametrize("case", cases("requests.json"))
def test_a_body_becomes_this_request(case: dict[str, Any]):
    dialect = BY_NAME[case["dialect"]]
    decoded = dialect.decode(call(dialect, case["path"], case["body"]))
    assert decoded == msgspec.convert(case["request"], GenerationRequest)


@pytest.mark.parametrize("case", cases("results.json"))
def test_a_result_becomes_this_body(case: dict[str, Any]):
    request = msgspec.convert(msgspec.to_builtins(REQUEST) | case["request"], GenerationRequest)
    result = msgspec.convert(case["result"], GenerationResult)
    assert answer(BY_NAME[case["dialect"]], request, result) == case["body"]


@pytest.mark.parametrize("case", cases("views.json"))
def test_a_view_becomes_this_body(case: dict[str, Any]):
    reply = msgspec.convert(msgspec.to_builtins(REPLY) | case["reply"], Reply)
    view = msgspec.convert(case["view"], VIEWS[case["kind"]])
    assert json.loads(BY_NAME[case["dialect"]].encode_view(view, reply)) == case["body"]
