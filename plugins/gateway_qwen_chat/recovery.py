"""What a refusal before the first word lets us try again, on the same account, and how often."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from gateway.generation.errors import ChatBusy, GatewayError, InvalidAnswer, NotFound
from gateway.generation.events import Thread

from .errors import ParentMissing

__all__ = ["Recovery"]

_log = logging.getLogger(__name__)


class Recovery:
    """The second chances of one request.

    They cure what is known to be about this chat alone. A provider's fault is not: whether that is worth a
    second call, the gateway decides, out of one budget for all requests.

    Args:
        make_chat: makes another chat; None when the chat is the caller's, which nothing can replace.
        waits: seconds before each further try while the chat is busy.
    """

    def __init__(self, make_chat: Callable[[], Awaitable[Thread]] | None, waits: tuple[float, ...]) -> None:
        self._make_chat = make_chat
        self._waits = iter(waits)
        self._renewable = True

    async def after(self, error: GatewayError, thread: Thread) -> Thread:
        """Return where to try again, once that makes sense. Raises `error` when nothing is left to try."""
        match error:
            case ChatBusy():
                return await self._wait(error, thread)
            case ParentMissing() if thread.parent:
                # The provider lost the turn: an answer without context beats none, and the operator may know.
                _log.warning("the provider lost a chat's last turn; going on in this chat without it")
                return Thread(thread.chat)
            case NotFound():
                return await self._renew(error)
        raise error

    async def _wait(self, error: ChatBusy, thread: Thread) -> Thread:
        seconds = next(self._waits, None)
        if seconds is None:
            raise error
        await asyncio.sleep(seconds)
        return thread

    async def _renew(self, error: NotFound) -> Thread:
        if self._make_chat is None:
            raise error
        if not self._renewable:
            raise InvalidAnswer("The provider loses the chats that it makes.", sent=True) from error
        self._renewable = False
        return await self._make_chat()
