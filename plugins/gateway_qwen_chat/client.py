"""The calls of the wire: one place that knows addresses and headers, and judges every answer."""

import logging
import re
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from gateway.generation.errors import GatewayError, InvalidAnswer, NotFound, UpstreamError
from gateway.generation.events import Thread
from gateway.generation.requests import GenerationRequest
from gateway.plugin_api import (
    Account,
    Answer,
    Deadlines,
    Exchange,
    Transport,
    fetch,
    open_stream,
)

from .errors import find_error, true_status
from .settings import QwenChatSettings
from .wire import Chat, ChatMessage, Created, completion_body, new_chat_body, unwrap

__all__ = ["Client", "is_safe_id"]

_log = logging.getLogger(__name__)

_CONTROL_FIRST_BYTE = 30.0
_CONTROL_TOTAL = 60.0
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_BLANK = b" \t\r\n\xef\xbb\xbf"

_created = msgspec.json.Decoder(Created)
_chat = msgspec.json.Decoder(Chat)


def is_safe_id(id_: str) -> bool:
    """Whether a provider's id may become a part of an address: ``..`` would be another endpoint."""
    return _ID.fullmatch(id_) is not None


class Client:
    """Calls the provider for one account at a time; keeps no cookie and follows no redirect.

    `media_deadlines` bound the turns that draw, the transport's own those that write.
    """

    def __init__(
        self, settings: QwenChatSettings, transport: Transport, media_deadlines: Deadlines | None = None
    ) -> None:
        self._settings = settings
        self._transport = transport
        self._media_deadlines = media_deadlines
        self._control_deadlines = _for_control(transport.deadlines)
        fixed = {"source": "web", **settings.headers}
        if settings.version:
            fixed["version"] = settings.version
        self._fixed = [(name.lower().encode(), value.encode()) for name, value in fixed.items()]

    async def new_chat(self, request: GenerationRequest, account: Account) -> Thread:
        """Make a chat for this request. Raises `InvalidAnswer` when the answer names none."""
        body = await self.call("POST", "/api/v2/chats/new", account, new_chat_body(request))
        made = unwrap(body, _created)
        if not is_safe_id(made.id):
            raise InvalidAnswer("The provider made no chat.", sent=True)
        return Thread(made.id)

    async def messages(self, chat: str, account: Account) -> list[ChatMessage]:
        """Return the messages of a chat. Raises `NotFound`."""
        body = await self.call("GET", f"/api/v2/chats/{quote(chat, safe='')}", account, named=True)
        return unwrap(body, _chat).messages

    async def delete_chat(self, chat: str, account: Account) -> None:
        """Delete a chat; a failure is logged only, because nobody waits for it."""
        try:
            await self.call("DELETE", f"/api/v2/chats/{quote(chat, safe='')}", account, named=True)
        except GatewayError as error:
            _log.warning("a finished chat could not be deleted: %s", error.code)

    async def complete(self, request: GenerationRequest, thread: Thread, account: Account) -> bytes:
        """Make a completion that is not streamed, and return its JSON."""
        body, deadlines = completion_body(request, thread), self._turn_deadlines(request)
        return await self._call("POST", _completions(thread), account, body, named=True, deadlines=deadlines)

    @asynccontextmanager
    async def stream(
        self, request: GenerationRequest, thread: Thread, account: Account
    ) -> AsyncGenerator[tuple[bytes, Exchange], None]:
        """Start a streamed completion; gives its first bytes and the rest. Raises what a refusal means."""
        async with open_stream(
            self._transport,
            "POST",
            self._settings.base_url + _completions(thread),
            headers=self._headers(account, b"text/event-stream"),
            body=completion_body(request, thread),
            deadlines=self._turn_deadlines(request),
        ) as exchange:
            yield await _first_bytes(exchange), exchange

    async def call(
        self,
        method: str,
        path: str,
        account: Account,
        body: bytes = b"",
        *,
        named: bool = False,
    ) -> bytes:
        """Make a call that takes no time, and return its JSON answer. Raises the error that the answer is.

        `named`: the call names an object, so that "not found" is about this object; otherwise it can only
        mean that the address is wrong.
        """
        return await self._call(method, path, account, body, named=named, deadlines=self._control_deadlines)

    async def _call(
        self,
        method: str,
        path: str,
        account: Account,
        body: bytes,
        *,
        named: bool,
        deadlines: Deadlines | None,
    ) -> bytes:
        answer = await fetch(
            self._transport,
            method,
            self._settings.base_url + path,
            headers=self._headers(account, b"application/json"),
            body=body,
            deadlines=deadlines,
        )
        error = find_error(answer)
        if isinstance(error, NotFound) and not named:
            raise UpstreamError("The provider does not know this endpoint.", sent=True)
        if error is not None:
            raise error
        return answer.body.lstrip(_BLANK)

    def _turn_deadlines(self, request: GenerationRequest) -> Deadlines | None:
        return None if request.chat_type == "t2t" else self._media_deadlines

    def _headers(self, account: Account, accept: bytes) -> list[tuple[bytes, bytes]]:
        return [
            *self._fixed,
            *self._credentials(account),
            (b"content-type", b"application/json"),
            (b"accept", accept),
            (b"x-request-id", str(uuid.uuid4()).encode()),
        ]

    def _credentials(self, account: Account) -> list[tuple[bytes, bytes]]:
        """Return the account's token as the operator wants it carried; the site's own cookies never are."""
        token = account.secret.reveal().encode()
        carrier = self._settings.token_carrier
        if not token:
            return []
        bearer = [(b"authorization", b"Bearer " + token)] if carrier != "cookie" else []
        cookie = [(b"cookie", b"token=" + token)] if carrier != "bearer" else []
        return [*bearer, *cookie]


def _for_control(own: Deadlines) -> Deadlines:
    """Return the deadlines of a call that takes no time, none later than the operator's own."""
    return replace(
        own,
        first_byte=min(own.first_byte, _CONTROL_FIRST_BYTE),
        total=min(own.total, _CONTROL_TOTAL),
    )


def _completions(thread: Thread) -> str:
    return f"/api/v2/chat/completions?chat_id={quote(thread.chat, safe='')}"


async def _first_bytes(exchange: Exchange) -> bytes:
    """Read until it is clear what the answer is; raise what a refusal means.

    The content type often lies, so the first byte that is not blank decides: an object or a page is no
    stream.
    """
    refused = true_status(exchange.status, exchange.headers.text("x-actual-status-code")) >= 300
    head = b""
    while not refused and not head.strip(_BLANK):
        piece = await anext(exchange, b"")
        if not piece:
            return head
        head += piece
    if not refused and head.lstrip(_BLANK)[:1] not in (b"{", b"<"):
        return head
    answer = Answer(exchange.status, _fields(exchange), head + await exchange.read())
    raise find_error(answer) or InvalidAnswer("The provider's answer is not a stream.", sent=True)


def _fields(exchange: Exchange) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in exchange.headers.raw[::-1]}
