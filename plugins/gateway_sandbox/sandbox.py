"""The parts of one sandbox, as the routes see them."""

import asyncio
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from litestar import Request

from .accounts import Credentials, authenticate
from .faults import Faults
from .journal import Journal
from .records import Message
from .refusals import bad_request, rate_limited
from .settings import SandboxSettings
from .store import Store

__all__ = ["Sandbox"]


class Sandbox:
    """State and rules shared by all routes of one server."""

    def __init__(self, settings: SandboxSettings) -> None:
        self.settings = settings
        self.store = Store(settings.path)
        self.journal = Journal(self.store, settings.journal_limit)
        self.faults = Faults()
        self.painters = ThreadPoolExecutor(max_workers=2, thread_name_prefix="sandbox-paint")
        self.account_quotas: dict[tuple[str, str], int] = {}
        self.counting = asyncio.Lock()
        self.painting: dict[str, asyncio.Task[bytes]] = {}
        self.secret = ""
        self._answering: dict[str, asyncio.Event] = {}

    async def open(self) -> None:
        """Open the store and take the secret that signs links from it."""
        await self.store.open()
        self.secret = await self.store.fact("secret", secrets.token_hex(16))

    async def aclose(self) -> None:
        """Finish and close."""
        for task in list(self.painting.values()):
            task.cancel()
        await asyncio.gather(*self.painting.values(), return_exceptions=True)
        self.painters.shutdown(cancel_futures=True)
        await self.store.aclose()

    def caller(self, request: Request[Any, Any, Any]) -> str:
        """Return the user id of a request; raises a 401 `Refusal`."""
        return authenticate(Credentials.read(request.headers, request.cookies), self.settings)

    @contextmanager
    def answering(self, chat_id: str) -> Iterator[asyncio.Event]:
        """Hold a chat while it answers; the event is set when somebody asks to stop."""
        if chat_id in self._answering:
            raise bad_request("The chat is in progress!")
        stop = self._answering[chat_id] = asyncio.Event()
        try:
            yield stop
        finally:
            del self._answering[chat_id]

    def stop(self, chat_id: str) -> bool:
        """Ask a running answer to stop; False if there is none."""
        event = self._answering.get(chat_id)
        if event is not None:
            event.set()
        return event is not None

    async def check_quota(self, owner: str, chat_type: str) -> None:
        """Raise a 429 `Refusal` if the account's day is used up; hold `counting` until it is charged."""
        default = self.settings.quotas.get(chat_type)
        quota = self.account_quotas.get((owner, chat_type), default)
        if quota is None:
            return
        now = datetime.now(UTC)
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        used = await self.store.count(Message, owner, f"user:{chat_type}", midnight.timestamp())
        if used >= quota:
            raise rate_limited(24 - now.hour)

    def now(self) -> float:
        """Wall-clock seconds; what is kept over a restart is measured by it."""
        return time.time()
