"""The calls of the wire: one place that knows addresses and headers, and judges every answer."""

import re

from gateway.plugin_api import Account, Answer, Deadlines, Fields, Transport, fetch
from gateway.plugin_api.openai_wire import refuse_call
from gateway_dashscope.settings import DashScopeSettings

__all__ = ["Client", "is_safe_id"]

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


def is_safe_id(id_: str) -> bool:
    """Whether a task id may become a part of an address: ``..`` would be another endpoint."""
    return _ID.fullmatch(id_) is not None


class Client:
    """Calls the provider for one account at a time; follows no redirect."""

    def __init__(self, settings: DashScopeSettings, transport: Transport) -> None:
        self._base_url = settings.base_url.rstrip("/")
        self._workspace = settings.workspace
        self._control = settings.control_deadlines
        self.transport = transport

    def url(self, path: str) -> str:
        """Return the address of a route."""
        return f"{self._base_url}{path}"

    def headers(self, account: Account, *, queued: bool = False, stored: bool = False) -> Fields:
        """Return an account's header fields.

        `queued`: make a task. `stored`: the body names files in the provider's temporary storage.
        """
        fields = [
            (b"authorization", f"Bearer {account.secret.reveal()}".encode("latin-1")),
            (b"content-type", b"application/json"),
            (b"accept", b"text/event-stream, application/json"),
        ]
        if self._workspace:
            fields.append((b"x-dashscope-workspace", self._workspace.encode("latin-1")))
        if queued:
            fields.append((b"x-dashscope-async", b"enable"))
        if stored:
            fields.append((b"x-dashscope-ossresourceresolve", b"enable"))
        return fields

    async def call(
        self,
        method: str,
        path: str,
        account: Account,
        body: bytes = b"",
        *,
        queued: bool = False,
        stored: bool = False,
        deadlines: Deadlines | None = None,
    ) -> bytes:
        """Return the body of a good answer, raise what a bad one stands for."""
        answer = await self.ask(
            method, path, account, body, queued=queued, stored=stored, deadlines=deadlines
        )
        if answer.status != 200:
            raise refuse_call(answer.status, answer.headers.get("retry-after", ""), answer.body)
        return answer.body

    async def ask(
        self,
        method: str,
        path: str,
        account: Account,
        body: bytes = b"",
        *,
        queued: bool = False,
        stored: bool = False,
        deadlines: Deadlines | None = None,
    ) -> Answer:
        """Return an answer, whatever its status."""
        return await fetch(
            self.transport,
            method,
            self.url(path),
            headers=self.headers(account, queued=queued, stored=stored),
            body=body,
            deadlines=deadlines or self._control,
        )
