"""Read what a prompt holds: tool schemas, tool results, a flattened conversation, the question itself.

The shapes are those that the gateway's Qwen chat plugin writes: `<tools>` with one
JSON object per line, `<tool_response>` around each result, and earlier turns under
their roles (`User: ...`) where a whole conversation is sent as one message.
"""

import re
from typing import Any

import msgspec

__all__ = ["Prompt", "Tool", "read_prompt"]

_TOOLS = re.compile(r"<tools>(.*?)</tools>", re.DOTALL)
_CALL_RULES = re.compile(r"\s+(?:(?!\n\n).)*?<tool_call>(?:(?!\n\n).)*", re.DOTALL)
_DEMAND = re.compile(r"\bAnswer with a call now\b|\bCall \S+ now and answer with nothing else\b")
_RESULT = re.compile(r"<tool_response>\s*(.*?)\s*</tool_response>", re.DOTALL)
_MOST_CHARS = 60_000
_HEADING = re.compile(r"^(System|User|Assistant|Tool):[ \t]*", re.MULTILINE)


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
    must_call: bool = False


def read_prompt(text: str) -> Prompt:
    """Take a prompt apart; results count only if they came after the last question."""
    text = _shortened(text)
    tools = tuple(tool for block in _TOOLS.findall(text) for tool in _read_tools(block))
    turns = _split_turns(_without_tools(text))
    last = max((at for at, (role, _) in enumerate(turns) if role == "user"), default=0)
    tail = "\n".join(said for _, said in turns[last:])
    words = _RESULT.sub("", turns[last][1]).strip()
    must_call = bool(tools) and _DEMAND.search(text) is not None
    return Prompt(words, tuple(turns[:last]), tools, tuple(_RESULT.findall(tail)), must_call)


def _shortened(text: str) -> str:
    """Return the beginning and the end of a very long prompt: instructions stand there."""
    return text if len(text) <= _MOST_CHARS else f"{text[: _MOST_CHARS // 2]}\n\n{text[-_MOST_CHARS // 2 :]}"


def _without_tools(text: str) -> str:
    """Return the prompt without the paragraphs that offer tools and explain how to call them."""
    block = _TOOLS.search(text)
    if block is None:
        return text
    start = text.rfind("\n\n", 0, block.start()) + 1
    rules = _CALL_RULES.match(text, block.end())
    return text[:start] + text[rules.end() if rules else block.end() :]


def _read_tools(block: str) -> list[Tool]:
    found = []
    for line in block.splitlines():
        try:
            function = msgspec.json.decode(line)["function"]
            details = function.get("description") or "", function.get("parameters") or {}
            found.append(msgspec.convert((function["name"], *details), tuple[str, str, dict[str, Any]]))
        except (msgspec.MsgspecError, LookupError, TypeError, AttributeError):
            continue  # prose around the schemas, or a schema that no caller could use
    return [Tool(*parts) for parts in found]


def _split_turns(text: str) -> list[tuple[str, str]]:
    heads = list(_HEADING.finditer(text))
    if not any(head[1] in ("User", "Tool") for head in heads):
        return [("user", text.strip())]
    ends = [head.start() for head in heads[1:]] + [len(text)]
    turns = [(head[1].lower(), text[head.end() : end].strip()) for head, end in zip(heads, ends, strict=True)]
    before = text[: heads[0].start()].strip()
    return [("system", before), *turns] if before else turns
