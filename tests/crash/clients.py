"""Clients that ask again until a gateway has answered, as an SDK with much patience would."""

import asyncio
import itertools
import random
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import httpx
import msgspec

__all__ = ["Answer", "Clients"]

_PATIENCE = 120.0
_PAUSE = 0.05
_REMEMBERED = 10
_DIGITS = re.compile(r"\d+")
T = TypeVar("T")


class Answer(msgspec.Struct, frozen=True):
    """What a client heard in the end about one intention."""

    status: int
    task_id: str


class Clients:
    """Asks whichever gateway answers; `answers` are the last words by prompt."""

    def __init__(self, urls: Callable[[], Sequence[str]], rng: random.Random) -> None:
        self.answers: dict[str, Answer] = {}
        self._urls = urls
        self._rng = rng
        self._http = httpx.AsyncClient(timeout=30.0)
        self._heard: dict[str, deque[str]] = {}

    async def ask(self, prompt: str, *, keyed: bool = True) -> Answer:
        """Ask for one video until a gateway says how it is."""
        answer = await self._patiently(prompt, lambda number: self._create(prompt, keyed, number))
        self.answers[prompt] = answer
        return answer

    async def draw(self, prompt: str) -> dict[str, Any]:
        """Ask for one picture in the background until its task is over; return its view."""
        return await self._patiently(prompt, lambda _: self._draw(prompt))

    async def tasks(self) -> list[dict[str, Any]]:
        """Return every video that the store knows."""
        found: list[dict[str, Any]] = []
        more = True
        while more:
            after = f"&after={found[-1]['id']}" if found else ""
            path = f"/v1/videos?limit=100{after}"
            page = await self._patiently(path, lambda _, path=path: self._read(path))
            found += page["data"]
            more = page["has_more"]
        return found

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _patiently(self, about: str, act: Callable[[int], Awaitable[T | None]]) -> T:
        heard = self._heard[about] = deque(maxlen=_REMEMBERED)
        end = time.monotonic() + _PATIENCE
        for number in itertools.count():
            found = await act(number)
            if found is not None:
                break
            assert time.monotonic() < end, "\n".join([f"no answer to {about!r}; last was heard:", *heard])
            await asyncio.sleep(_PAUSE)
        del self._heard[about]
        return found

    async def _create(self, prompt: str, keyed: bool, number: int) -> Answer | None:
        headers = {"x-stainless-retry-count": str(number)} | ({"idempotency-key": prompt} if keyed else {})
        body = {"prompt": prompt, "model": "qwen3-max"}
        answer = await self._send(prompt, "POST", "/v1/videos", json=body, headers=headers)
        if answer is None:
            return None
        if answer.status_code == 200:
            return Answer(200, answer.json()["id"])
        if answer.headers.get("x-should-retry") != "false":
            return None
        assert "create_ambiguous" in answer.text, answer.text
        return Answer(answer.status_code, _task_id(answer.json()["error"]["message"]))

    async def _draw(self, prompt: str) -> dict[str, Any] | None:
        body = {"message": prompt, "chatType": "t2i", "async": True}
        headers = {"idempotency-key": prompt}
        answer = await self._send(prompt, "POST", "/api/chat", json=body, headers=headers)
        if answer is None or not answer.is_success:
            return None
        view = await self._read(f"/api/tasks/status/{answer.json()['task_id']}", about=prompt)
        return view if view and view["status"] in ("completed", "failed") else None

    async def _read(self, path: str, about: str = "") -> dict[str, Any] | None:
        answer = await self._send(about or path, "GET", path)
        return answer.json() if answer is not None and answer.is_success else None

    async def _send(self, about: str, method: str, path: str, **how: Any) -> httpx.Response | None:
        """Send once, wherever it may be; None when nobody was there, or died over it."""
        urls = self._urls()
        if not urls:
            return self._hear(about, "nobody is there")
        url = self._rng.choice(urls)
        try:
            answer = await self._http.request(method, url + path, **how)
        except httpx.TransportError as error:
            return self._hear(about, f"{url} {error!r}")
        self._hear(about, f"{url} {answer.status_code} {answer.text[:300]}")
        return answer

    def _hear(self, about: str, what: str) -> None:
        """Remember what was heard; the same again, but for its numbers, is remembered once."""
        heard = self._heard[about]
        if heard and _DIGITS.sub("", heard[-1]) == _DIGITS.sub("", f"00:00:00 {what}"):
            heard.pop()
        heard.append(f"{time.strftime('%H:%M:%S')} {what}")


def _task_id(message: str) -> str:
    found = re.search(r"[0-9a-f]{32}", message)
    assert found is not None, message
    return found[0]
