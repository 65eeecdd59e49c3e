"""Read what a prompt holds: tool schemas, tool results, a flattened conversation, the question itself.

The shapes are those that the gateway's Qwen chat plugin writes: `<tools>` with one
JSON object per line, `<tool_response>` around each result, and earlier turns under
their roles (`User: ...`) where a whole conversation is sent as one message.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

__all__ = ["Prompt", "Tool", "read_prompt"]

_CALL_RULES = re.compile(r"\s+(?:(?!\n\n).)*?<tool_call>(?:(?!\n\n).)*", re.DOTALL)
_DEMAND = re.compile(r"\bAnswer with a call now\b|\bCall \S+ now and answer with nothing else\b")
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


class _Tagged(NamedTuple):
    """Where a tagged block stands, tags included; found in one pass, however many tags stay open."""

    start: int
    end: int
    tag: str

    @classmethod
    def find(cls, text: str, tag: str) -> Iterator["_Tagged"]:
        """Yield the blocks of a tag, in order."""
        start = text.find(f"<{tag}>")
        while start >= 0 and (close := text.find(f"</{tag}>", start)) >= 0:
            end = close + len(tag) + 3
            yield cls(start, end, tag)
            start = text.find(f"<{tag}>", end)

    def content(self, text: str) -> str:
        """Return what stands between the tags."""
        return text[self.start + len(self.tag) + 2 : self.end - len(self.tag) - 3]


def read_prompt(text: str) -> Prompt:
    """Take a prompt apart; results count only if they came after the last question."""
    text = _shortened(text)
    tools = tuple(tool for block in _Tagged.find(text, "tools") for tool in _read_tools(block.content(text)))
    turns = _split_turns(_without_tools(text))
    last = max((at for at, (role, _) in enumerate(turns) if role == "user"), default=0)
    tail = "\n".join(said for _, said in turns[last:])
    results = tuple(found.content(tail).strip() for found in _Tagged.find(tail, "tool_response"))
    words = _without_results(turns[last][1])
    must_call = bool(tools) and _DEMAND.search(text) is not None
    return Prompt(words, tuple(turns[:last]), tools, results, must_call)


def _shortened(text: str) -> str:
    """Return the beginning and the end of a very long prompt: instructions stand there."""
    return text if len(text) <= _MOST_CHARS else f"{text[: _MOST_CHARS // 2]}\n\n{text[-_MOST_CHARS // 2 :]}"


def _without_tools(text: str) -> str:
    """Return the prompt without the paragraphs that offer tools and explain how to call them."""
    block = next(_Tagged.find(text, "tools"), None)
    if block is None:
        return text
    start = text.rfind("\n\n", 0, block.start) + 1
    rules = _CALL_RULES.match(text, block.end)
    return text[:start] + text[rules.end() if rules else block.end :]


def _without_results(text: str) -> str:
    for block in reversed(list(_Tagged.find(text, "tool_response"))):
        text = text[: block.start] + text[block.end :]
    return text.strip()


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
