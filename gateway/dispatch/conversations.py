"""Conversations that clients go on with: our chat id, and what it stands for."""

import re
import secrets
import time

import msgspec

from gateway.generation.errors import InvalidRequest, NotFound
from gateway.generation.events import Thread
from gateway.generation.requests import Continuation, Message
from gateway.state.store import Conflict, Record, StateStore

__all__ = ["Conversation", "Conversations"]

_TABLE = "conversations"
_ID = re.compile(r"[0-9a-f]{32}")
_TURNS_KEPT = 200
_LIFETIME_SECONDS = 90 * 86_400.0


class Conversation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a chat id stands for.

    With a provider that keeps chats: its upstream and account, and `thread` with the last turn; otherwise
    `transcript` is the history. `turns` maps the ids that clients know to where they are: the provider's
    own id of the turn, or the length of the transcript after it.
    """

    id: str
    owner: str
    upstream: str = ""
    account: str = ""
    thread: Thread | None = None
    turns: dict[str, str] = {}
    transcript: tuple[Message, ...] = ()

    @property
    def bound(self) -> tuple[str, str] | None:
        """The upstream and account that alone can go on with it."""
        return (self.upstream, self.account) if self.thread else None

    def on(self, upstream: str, account: str, thread: Thread) -> "Conversation":
        """Return the conversation as the provider now keeps it."""
        return msgspec.structs.replace(self, upstream=upstream, account=account, thread=thread, transcript=())

    def with_messages(self, *messages: Message) -> "Conversation":
        """Return the conversation with more history; a provider that keeps chats has it already."""
        if self.thread is not None:
            return self
        return msgspec.structs.replace(self, transcript=(*self.transcript, *messages))

    def after_turn(self, turn_id: str) -> "Conversation":
        """Return the conversation with its last turn known under our id."""
        place = self.thread.parent if self.thread else str(len(self.transcript))
        turns = {**self.turns, turn_id: place}
        return msgspec.structs.replace(self, turns=dict(list(turns.items())[-_TURNS_KEPT:]))

    def at(self, parent_id: str) -> "Conversation":
        """Return the conversation going on from an earlier turn; "" is the last.

        Raises:
            InvalidRequest: no such turn is known.
        """
        if not parent_id:
            return self
        if parent_id not in self.turns:
            raise InvalidRequest("parentId names no answer of this chat", param="parentId")
        place = self.turns[parent_id]
        if self.thread is not None:
            return msgspec.structs.replace(self, thread=Thread(self.thread.chat, place))
        return msgspec.structs.replace(self, transcript=self.transcript[: int(place)])


_decode = msgspec.json.Decoder(Conversation).decode


class Conversations:
    """The table of conversations."""

    def __init__(self, store: StateStore) -> None:
        self._store = store

    def begin(self, owner: str) -> Conversation:
        """Return a new conversation, not stored yet."""
        return Conversation(id=secrets.token_hex(16), owner=owner)

    async def resume(self, owner: str, continuation: Continuation) -> Conversation:
        """Return the conversation to go on with, a new one where no chat is named.

        Raises:
            NotFound: no such chat, or another owner's.
        """
        if not continuation.chat_id:
            return self.begin(owner)
        record = (
            await self._store.get(_TABLE, continuation.chat_id)
            if _ID.fullmatch(continuation.chat_id)
            else None
        )
        if record is None or record.owner != owner:
            raise NotFound("Chat not found", param="chatId")
        return _decode(record.value).at(continuation.parent_id)

    async def save(self, conversation: Conversation) -> None:
        """Store a conversation; of two turns at once the later one to end wins."""
        while True:
            stored = await self._store.get(_TABLE, conversation.id)
            try:
                await self._store.put(_TABLE, _record(conversation, stored.version if stored else 0))
            except Conflict:
                continue
            return


def _record(conversation: Conversation, version: int) -> Record:
    now = time.time()
    return Record(
        key=conversation.id,
        value=msgspec.json.encode(conversation),
        version=version,
        owner=conversation.owner,
        order=now,
        expires=now + _LIFETIME_SECONDS,
    )
