"""What was received, as evidence: every request, in order, kept with the rest of the state.

Tokens are never written down. An account appears as its user id, which
`gateway_sandbox.accounts.user_id` computes from the token.
"""

import hashlib
import re
import time
from collections import Counter
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

import msgspec
from litestar.types import HTTPScope

from .accounts import Credentials
from .store import Store

__all__ = ["Entry", "Journal", "read_request"]

_ENDPOINTS = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("chats.new", r"POST /api/v2/chats/new"),
        ("chats.list", r"GET /api/v2/chats"),
        ("chats.get", r"GET /api/v2/chats/(?P<chat>[^/]+)"),
        ("chats.delete", r"DELETE /api/v2/chats/(?P<chat>[^/]+)"),
        ("completions", r"POST /api/v2/chat/completions"),
        ("completions.stop", r"POST /api/v2/chat/completions/stop"),
        ("task", r"GET /api/v[12]/tasks?/status/(?P<task>[^/]+)"),
        ("files.token", r"POST /api/v[12]/files/getstsToken"),
        ("files.parse", r"POST /api/v2/files/parse(?:/status)?"),
        ("models", r"GET /api/(?:v2/)?models"),
        ("auths", r"GET /api/(?:v1/auths|v2/user/info)"),
        ("media", r"(?:GET|HEAD) /output/.+"),
        ("files.put", r"PUT /[^/]+/[^/]+"),
        ("files.get", r"GET /[^/]+/[^/]+"),
    )
)


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One received request. `at` is wall-clock seconds; `digest` the SHA-256 of the body."""

    number: int = 0
    at: float
    method: str
    path: str
    endpoint: str
    account: str
    carriers: tuple[str, ...]
    chat_id: str
    chat_type: str
    task_id: str
    digest: str
    size: int
    cookies: dict[str, str]
    request_id: str
    fault: str = ""


class Journal:
    """Writes entries down and counts them."""

    def __init__(self, store: Store, limit: int) -> None:
        self._store = store
        self._limit = limit

    async def write(self, entry: Entry) -> None:
        """Keep an entry; it is safe when this returns."""
        await self._store.append(msgspec.json.encode(entry).decode(), self._limit)

    async def read(self, after: int = 0, limit: int = 1000) -> list[Entry]:
        """Entries numbered above `after`, oldest first."""
        rows = await self._store.entries(after, limit)
        found = [(number, msgspec.json.decode(text, type=Entry)) for number, text in rows]
        return [msgspec.structs.replace(entry, number=number) for number, entry in found]

    async def counters(self) -> dict[str, dict[str, int]]:
        """How many entries there are, by endpoint, account, chat type and fault."""
        entries = await self.read(limit=self._limit)
        counts: dict[str, dict[str, int]] = {}
        for name in ("endpoint", "account", "chat_type", "fault"):
            counts[name] = dict(Counter(value for entry in entries if (value := getattr(entry, name))))
        return counts


def read_request(scope: HTTPScope, body: bytes) -> Entry:
    """Return the journal entry of a request; never fails, whatever was sent."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    cookies = _cookies(headers.get("cookie", ""))
    who = Credentials.read(headers, cookies)
    endpoint, ids = _place(scope["method"], scope["path"])
    call = _peek(body) if endpoint in ("completions", "chats.new") else {}
    query = parse_qs(scope["query_string"].decode("latin-1"))
    return Entry(
        at=time.time(),
        method=scope["method"],
        path=scope["path"],
        endpoint=endpoint,
        account=who.account,
        carriers=tuple(name for name in ("bearer", "cookie") if getattr(who, name)),
        chat_id=ids.get("chat") or query.get("chat_id", [""])[0],
        chat_type=_chat_type(call),
        task_id=ids.get("task") or "",
        digest=hashlib.sha256(body).hexdigest(),
        size=len(body),
        cookies={name: value for name, value in cookies.items() if name != "token"},
        request_id=headers.get("x-request-id", ""),
    )


def _place(method: str, path: str) -> tuple[str, dict[str, Any]]:
    line = f"{method} {path.rstrip('/') or '/'}"
    matches = ((name, pattern.fullmatch(line)) for name, pattern in _ENDPOINTS)
    return next(((name, match.groupdict()) for name, match in matches if match), ("unknown", {}))


def _peek(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return {}


def _chat_type(call: dict[str, Any]) -> str:
    messages = call.get("messages")
    first = messages[0] if isinstance(messages, list) and messages and isinstance(messages[0], dict) else call
    return str(first.get("sub_chat_type") or first.get("chat_type") or "")


def _cookies(header: str) -> dict[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(header).items()}
    except CookieError:
        return {}
