"""Conversations that clients go on with: our chat id, and what it stands for."""

import re
import secrets
import time
from collections.abc import Callable, Sequence

import msgspec

from gateway.dispatch.backlog import Backlog
from gateway.generation.errors import InvalidRequest, NotFound
from gateway.generation.requests import Message
from gateway.generation.turns import Turn
from gateway.state.store import Conflict, Record, StateStore, StoreUnavailable
from gateway.tasks.task import State, Task
from gateway.telemetry.logging import get_logger

__all__ = ["Conversation", "Conversations", "go_on"]

_TABLE = "conversations"
_ID = re.compile(r"[0-9a-f]{32}")
_TURNS_KEPT = 200
_LIFETIME_SECONDS = 90 * 86_400.0


class Conversation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a chat id stands for: its turns by the ids that clients know, and what was said when it began."""

    id: str
    owner: str
    name: str = ""
    model: str = ""
    chat_type: str = "t2t"
    turns: dict[str, Turn] = {}
    last: str = ""

    def find_turn(self, parent_id: str) -> str:
        """Return the id of the turn to go on from; "" asks for the last one, and is the beginning.

        Raises:
            InvalidRequest: no such turn is known.
        """
        if parent_id and parent_id not in self.turns:
            raise InvalidRequest("parentId names no answer of this chat", param="parentId")
        return parent_id or self.last

    def history(self, turn_id: str) -> tuple[Message, ...]:
        """Return what was said up to a turn, as far as the gateway itself must remember it."""
        path: list[Turn] = []
        while turn_id in self.turns:
            path.append(self.turns[turn_id])
            turn_id = path[-1].before
        said: tuple[Message, ...] = ()
        for turn in reversed(path):
            said = go_on(said, turn.messages)
        return said

    def after(self, turn: Turn, *turn_ids: str) -> "Conversation":
        """Return the conversation with one more turn, known under each of its ids; the oldest go."""
        turns = {**self.turns, **dict.fromkeys(turn_ids, turn)}
        return msgspec.structs.replace(self, turns=dict(list(turns.items())[-_TURNS_KEPT:]), last=turn_ids[0])

    def from_now(self, turn: Turn, *turn_ids: str) -> "Conversation":
        """Return the conversation with a turn that has only begun; one that is over already stands."""
        return self if turn_ids[0] in self.turns else self.after(turn, *turn_ids)

    def ended(self, turn: Turn, turn_id: str) -> "Conversation":
        """Return the conversation with a turn as it ended; where others have gone on stays the last."""
        if turn_id not in self.turns:
            return self.after(turn, turn_id)
        return msgspec.structs.replace(self, turns={**self.turns, turn_id: turn})


_decode = msgspec.json.Decoder(Conversation).decode
_Step = Callable[[Conversation], Conversation]


def go_on(history: Sequence[Message], said: Sequence[Message]) -> tuple[Message, ...]:
    """Return a history with more said; a new system text replaces the old one instead of repeating it."""
    system = tuple(message for message in said if message.role == "system")
    if not history or not system:
        return (*history, *said)
    return (
        *system,
        *(message for message in history if message.role != "system"),
        *(message for message in said if message.role != "system"),
    )


class Conversations:
    """The table of conversations. A turn that it cannot take is remembered here until it can."""

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self._backlog = Backlog[Conversation](self._change)

    def begin(self, owner: str, *, name: str = "", model: str = "", chat_type: str = "t2t") -> Conversation:
        """Return a new conversation, not stored yet."""
        return Conversation(
            id=secrets.token_hex(16), owner=owner, name=name, model=model, chat_type=chat_type
        )

    async def get(self, owner: str, chat_id: str) -> Conversation:
        """Return the owner's conversation.

        Raises:
            NotFound: no such chat, or another owner's.
            StoreUnavailable: it cannot be read now.
        """
        waiting = self._backlog.find(chat_id)
        if waiting is not None and waiting.owner == owner:
            return waiting
        record = await self._store.get(_TABLE, chat_id) if _ID.fullmatch(chat_id) else None
        if record is None or record.owner != owner:
            raise NotFound("Chat not found", param="chatId")
        return _decode(record.value)

    async def create(self, conversation: Conversation) -> None:
        """Store a new conversation.

        Raises:
            StoreUnavailable: it cannot be stored now.
        """
        await self._change(conversation, lambda known: known)

    async def keep(self, conversation: Conversation) -> None:
        """Store a conversation unless it is stored already."""
        await self._remember(conversation, lambda known: known)

    async def add_turn(self, conversation: Conversation, turn: Turn, *turn_ids: str) -> None:
        """Store one more turn; turns that others have added meanwhile stay."""
        await self._remember(conversation, lambda known: known.after(turn, *turn_ids))

    async def begin_turn(self, conversation: Conversation, turn: Turn, *turn_ids: str) -> None:
        """Store a turn that a task will end, which may have happened meanwhile."""
        await self._remember(conversation, lambda known: known.from_now(turn, *turn_ids))

    async def end_turn(self, task: Task) -> None:
        """Store where a finished task has left its conversation; a second time does nothing.

        Raises:
            StoreUnavailable: it cannot be stored now.
        """
        if task.state is not State.COMPLETED or not task.chat_id:
            return
        turn = task.turn.ended(task.upstream, task.account, task.thread, task.text)
        unknown = Conversation(id=task.chat_id, owner=task.owner)
        await self._change(unknown, lambda known: known.ended(turn, task.id), is_new=False)

    async def aclose(self) -> None:
        """Store what is still to be stored, if that is possible now."""
        await self._backlog.aclose()

    async def _remember(self, conversation: Conversation, step: _Step) -> None:
        """Store a step, now or later: a store that is away costs no answer."""
        if self._backlog.find(conversation.id) is not None:
            self._backlog.add(conversation, step)
            return
        try:
            await self._change(conversation, step)
        except StoreUnavailable as error:
            get_logger().warning("conversation_kept_in_memory", error=error.detail)
            self._backlog.add(conversation, step)

    async def _change(self, conversation: Conversation, step: _Step, *, is_new: bool | None = None) -> None:
        # Nearly every conversation without a turn is new: there is nothing to read first.
        is_new = not conversation.turns if is_new is None else is_new
        stored = None if is_new else await self._store.get(_TABLE, conversation.id)
        while True:
            known, version = (_decode(stored.value), stored.version) if stored else (conversation, 0)
            changed = step(known)
            if stored is not None and changed == known:
                return
            try:
                await self._store.put(_TABLE, _record(changed, version))
            except Conflict:
                stored = await self._store.get(_TABLE, conversation.id)
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
