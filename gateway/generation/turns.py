"""Where the answers of a conversation that clients go on with have left it."""

import msgspec

from gateway.generation.events import Thread
from gateway.generation.requests import Message, TextPart

__all__ = ["Turn"]


class Turn(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where one answer left its conversation.

    Where the provider keeps the chat: its upstream, account and thread. Where it does not: what was said,
    behind all that was said up to the turn `before`. Turns form a tree, so a client may go on from any.
    """

    before: str = ""
    upstream: str = ""
    account: str = ""
    thread: Thread | None = None
    messages: tuple[Message, ...] = ()

    @property
    def bound(self) -> tuple[str, str] | None:
        """The upstream and account that alone can go on from here."""
        return (self.upstream, self.account) if self.thread else None

    def ended(self, upstream: str, account: str, thread: Thread | None, text: str) -> "Turn":
        """Return the turn with what a task has made of it: at its provider, or in words."""
        if thread is not None:
            return Turn(before=self.before, upstream=upstream, account=account, thread=thread)
        answer = (Message("assistant", (TextPart(text),)),) if text else ()
        return msgspec.structs.replace(self, messages=(*self.messages, *answer))
