"""One turn of a kept conversation, while it is under way."""

from typing import Final

from gateway.dispatch.conversations import Conversation, Conversations, go_on
from gateway.generation.events import AnyEvent, TextDelta, ToolCallDelta
from gateway.generation.requests import Message, TextPart
from gateway.generation.results import Sum
from gateway.generation.turns import Turn

__all__ = ["Dialogue"]


class Dialogue:
    """Remembers one turn: what is asked behind the turn `before`, and what is answered."""

    def __init__(
        self,
        conversations: Conversations,
        conversation: Conversation,
        before: str,
        asked: tuple[Message, ...],
    ) -> None:
        self.chat_id = conversation.id
        self.conversation = conversation
        self.before = before
        self.asked = asked
        self.since = conversation.turns.get(before, Turn())
        self._conversations = conversations
        self._answer = Sum()

    def history(self) -> tuple[Message, ...]:
        """Return what was said before, unless the provider itself remembers it."""
        return () if self.since.thread else self.conversation.history(self.before)

    def with_history(self) -> tuple[Message, ...]:
        """Return what is asked behind what was said before."""
        return go_on(self.history(), self.asked)

    def opening(self) -> Turn:
        """Return the turn as it begins: what is asked, unless the provider itself remembers it."""
        return Turn(before=self.before, messages=() if self.since.thread else self.asked)

    def hear(self, event: AnyEvent) -> None:
        """Take in a piece of the answer."""
        if type(event) in _SAID:
            self._answer.add(event)

    def said(self) -> tuple[Message, ...]:
        """Return what this turn adds to the history."""
        choice = self._answer.result().choices[0]
        if not choice.text and not choice.tool_calls:
            return self.asked
        content = (TextPart(choice.text),) if choice.text else ()
        return (*self.asked, Message("assistant", content, tool_calls=choice.tool_calls))

    async def keep(self) -> None:
        """Keep a conversation whose id the caller is about to see."""
        await self._conversations.keep(self.conversation)

    async def keep_open_turn(self, turn: Turn, *turn_ids: str) -> None:
        """Note that a task goes on with the turn; where that has left the conversation, its end tells."""
        await self._conversations.begin_turn(self.conversation, turn, *turn_ids)

    async def keep_turn(self, turn: Turn, *turn_ids: str) -> None:
        """Keep where the turn left the conversation, under each of the ids that the caller gets for it."""
        await self._conversations.add_turn(self.conversation, turn, *turn_ids)


_SAID: Final = frozenset({TextDelta, ToolCallDelta})
