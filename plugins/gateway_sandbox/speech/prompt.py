"""Read what a prompt holds: tool schemas, tool results, a flattened conversation, the question itself.

The shapes are those that the gateway's Qwen chat plugin writes: `<tools>` with one
JSON object per line, `<tool_response>` around each result, and earlier turns under
a role heading where a whole conversation is sent as one message.
"""

import re
from typing import Any

import msgspec

__all__ = ["Prompt", "Tool", "read_prompt"]

_TOOLS = re.compile(r"<tools>(.*?)</tools>", re.DOTALL)
_RESULT = re.compile(r"<tool_response>\s*(.*?)\s*</tool_response>", re.DOTALL)
_HEADING = re.compile(
    r"^[ \t]*(?:#+\s*|\*\*|\[|<\|im_start\|>|<)?(system|developer|user|human|assistant|tool)"
    r"(?:\*\*:|:\*\*|\]:?|:|>|[ \t]*$)[ \t]*",
    re.IGNORECASE | re.MULTILINE,
)
_CLOSING = re.compile(r"<\|im_end\|>|</(?:system|developer|user|human|assistant|tool)>", re.IGNORECASE)
_ROLES = {"human": "user", "developer": "system"}


class Tool(msgspec.Struct, frozen=True):
    """A function that may be called."""

    name: str
    description: str
    parameters: dict[str, Any]


class Prompt(msgspec.Struct, frozen=True):
    """A prompt taken apart; `turns` are (role, text) pairs before the question."""

    text: str
    turns: tuple[tuple[str, str], ...] = ()
    tools: tuple[Tool, ...] = ()
    results: tuple[str, ...] = ()


def read_prompt(text: str) -> Prompt:
    """Take a prompt apart; results count only if they came after the last question."""
    tools = tuple(tool for block in _TOOLS.findall(text) for tool in _read_tools(block))
    turns = _split_turns(_TOOLS.sub("", text))
    last = max((at for at, (role, _) in enumerate(turns) if role == "user"), default=0)
    tail = "\n".join(said for _, said in turns[last:])
    words = _RESULT.sub("", turns[last][1]).strip()
    return Prompt(words, tuple(turns[:last]), tools, tuple(_RESULT.findall(tail)))


def _read_tools(block: str) -> list[Tool]:
    found = []
    for line in block.splitlines():
        try:
            function = msgspec.json.decode(line)["function"]
            found.append(
                Tool(function["name"], function.get("description") or "", function.get("parameters") or {})
            )
        except (msgspec.DecodeError, LookupError, TypeError, AttributeError):
            continue  # prose around the schemas, or a schema that no caller could use
    return found


def _split_turns(text: str) -> list[tuple[str, str]]:
    heads = list(_HEADING.finditer(text))
    if not any(_role(head) == "user" for head in heads):
        return [("user", text.strip())]
    ends = [head.start() for head in heads[1:]] + [len(text)]
    turns = [(_role(head), _clean(text[head.end() : end])) for head, end in zip(heads, ends, strict=True)]
    before = _clean(text[: heads[0].start()])
    return [("system", before), *turns] if before else turns


def _role(head: re.Match[str]) -> str:
    name = head[1].lower()
    return _ROLES.get(name, name)


def _clean(text: str) -> str:
    return _CLOSING.sub("", text).strip()
