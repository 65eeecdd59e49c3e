"""The sandbox as a provider in a process of its own, and the evidence that it gathers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec

from gateway_sandbox.accounts import user_id
from gateway_sandbox.journal import Entry
from tests.process import providing

__all__ = ["Provider", "provider", "user_id"]


class Provider:
    """A running sandbox at `url`, and the back door to it, which does not hold a loop up."""

    def __init__(self, url: str, door: httpx.AsyncClient) -> None:
        self.url = url
        self._door = door

    async def strike(self, kind: str, token: str = "", *, times: int = 0, **more: Any) -> None:
        """Script a fault for an account, all of them without `token`; `times=0` is for ever."""
        await self._send("POST", "faults", {"kind": kind, "account": token, "times": times, **more})

    async def heal(self) -> None:
        """Forget every fault."""
        await self._send("DELETE", "faults")

    async def limit(self, token: str, chat_type: str, per_day: int) -> None:
        """Set how many calls an account may make in a day."""
        quota = {"token": token, "chat_type": chat_type, "per_day": per_day}
        await self._send("PUT", "quotas", quota)

    async def journal(self, after: int = 0, **wanted: str) -> list[Entry]:
        """Return what was received after entry `after`, oldest first, as far as it is as `wanted`."""
        answer = await self._send("GET", f"journal?limit=50000&after={after}")
        entries = msgspec.json.decode(answer.content, type=list[Entry])
        return [
            entry for entry in entries if all(getattr(entry, name) == value for name, value in wanted.items())
        ]

    async def last(self) -> int:
        """Return the number of the last entry in the journal, 0 while there is none."""
        return max((entry.number for entry in await self.journal()), default=0)

    async def tasks(self) -> list[dict[str, Any]]:
        """Return every video that was ever ordered."""
        found: list[dict[str, Any]] = (await self._send("GET", "tasks")).json()
        return found

    async def _send(self, method: str, place: str, body: Any = None) -> httpx.Response:
        answer = await self._door.request(method, f"/__sandbox__/{place}", json=body)
        return answer.raise_for_status()


@asynccontextmanager
async def provider(folder: Path, *, video_seconds: float = 0.5) -> AsyncIterator[Provider]:
    """Run `gateway sandbox`, which answers as fast as it can."""
    with providing(folder, video_seconds=video_seconds) as sandbox:
        async with httpx.AsyncClient(base_url=sandbox.url, timeout=30) as door:
            yield Provider(sandbox.url, door)
