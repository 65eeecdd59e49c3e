"""A provider that takes its time over films, in a process of its own, and the evidence of who asked when.

    python -m tests.bench.films SHORTEST LONGEST

It speaks as much of the Qwen chat wire as a video needs. The first line on standard output is the port.
A film takes a random time between the two, in seconds, but the same at each run.
"""

import asyncio
import math
import random
import re
import sys
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from subprocess import PIPE
from typing import Literal

import msgspec

from tests.bench.machine import HARNESS_CORE, ROOT, spawn, stopping

__all__ = ["Evidence", "FilmProvider", "Poll", "count_busiest", "film_provider", "main"]

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_TOKEN = re.compile(rb"authorization: *Bearer +(\S+)", re.IGNORECASE)
_TITLE = re.compile(rb"film-\d+")
_CHAT = {"success": True, "request_id": "r", "data": {"id": "0c2f8f4e-31d7-4a86-8e3b-6f8f2f0f9d10"}}
_ADDRESS = "https://cdn.qwenlm.ai/output/film.mp4"
_CAPABLE = {"capabilities": {"vision": True}, "chat_type": ["t2t", "t2i", "t2v"]}
_MODELS = {"data": [{"id": "bench", "name": "bench", "info": {"is_active": True, "meta": _CAPABLE}}]}


class Poll(msgspec.Struct, frozen=True, array_like=True):
    """One question after a film; `at` in unix seconds."""

    token: str
    film: str
    at: float


class Evidence(msgspec.Struct, frozen=True):
    """When each film was ready, in unix seconds, and every poll in its order."""

    ready: dict[str, float]
    polls: list[Poll]

    def busiest_second(self) -> int:
        """Return the most polls of one account in any second."""
        return max(map(count_busiest, _times_by(self.polls, "token")))

    def quickest_return(self) -> float:
        """Return the least seconds between two polls of one film."""
        gaps = (later - first for times in _times_by(self.polls, "film") for first, later in pairwise(times))
        return min(gaps, default=math.inf)


class FilmProvider(msgspec.Struct, frozen=True):
    """A running provider."""

    port: int

    def evidence(self) -> Evidence:
        """Return what it has seen so far."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/evidence") as answer:
            return msgspec.json.decode(answer.read(), type=Evidence)


def count_busiest(times: Sequence[float], window: float = 1.0) -> int:
    """Return the most of the ascending times in any window, wherever it begins; its end is not part of it."""
    most = first = 0
    for number, at in enumerate(times, start=1):
        while times[first] <= at - window:
            first += 1
        most = max(most, number - first)
    return most


@contextmanager
def film_provider(shortest: float, longest: float) -> Iterator[FilmProvider]:
    """Run a provider on a free port of 127.0.0.1."""
    argv = [sys.executable, "-m", "tests.bench.films", str(shortest), str(longest)]
    with stopping(spawn(argv, HARNESS_CORE, stdout=PIPE, cwd=ROOT)) as process:
        assert process.stdout is not None
        yield FilmProvider(int(process.stdout.readline()))


def _times_by(polls: Sequence[Poll], name: Literal["token", "film"]) -> Iterable[Sequence[float]]:
    groups = defaultdict(list)
    for poll in polls:
        groups[getattr(poll, name)].append(poll.at)
    return groups.values()


class _Studio:
    """The films, and who asked after them."""

    def __init__(self, shortest: float, longest: float) -> None:
        self._draw = random.Random(1)
        self._range = shortest, longest
        self._seen = Evidence({}, [])

    def answer(self, head: bytes, body: bytes) -> object:
        """Answer one request; what is asked for is in the path of its first line."""
        path = head.split(b" ", 2)[1].decode()
        if path == "/evidence":
            return self._seen
        if "/status/" in path:
            return self._poll(path.rpartition("/")[2], _TOKEN.search(head))
        if path.startswith("/api/v2/chat/completions"):
            return self._order(_TITLE.search(body))
        return _MODELS if path.endswith("models") else _CHAT

    def _order(self, title: re.Match[bytes] | None) -> object:
        film = title[0].decode() if title else "untitled"
        self._seen.ready[film] = time.time() + self._draw.uniform(*self._range)
        message = {"role": "assistant", "content": "", "extra": {"wanx": {"task_id": film}}, "done": False}
        data = {
            "chat_id": "0c2f8f4e-31d7-4a86-8e3b-6f8f2f0f9d10",
            "parent_id": "p",
            "message_id": "m",
            "messages": [message],
        }
        return {"success": True, "request_id": "r", "data": data}

    def _poll(self, film: str, token: re.Match[bytes] | None) -> object:
        now = time.time()
        self._seen.polls.append(Poll(token[1].decode() if token else "", film, now))
        is_ready = self._seen.ready.get(film, now + 1) <= now
        return {
            "chat_type": "t2v",
            "task_status": "success" if is_ready else "running",
            "message": "",
            "remaining_time": "",
            "content": _ADDRESS if is_ready else "",
        }


class _Connection(asyncio.Protocol):
    """Requests with a known length, one after the other."""

    def __init__(self, studio: _Studio) -> None:
        self._studio = studio
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, rest = self._received.partition(b"\r\n\r\n")
        found = _LENGTH.search(head)
        length = int(found[1]) if found else 0
        if end and len(rest) >= length:
            self._received = rest[length:]
            body = msgspec.json.encode(self._studio.answer(head, rest[:length]))
            self._transport.write(_HEAD % len(body) + body)


async def _serve(lengths: Sequence[str]) -> None:
    shortest, longest = map(float, lengths)
    studio = _Studio(shortest, longest)
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(studio), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    """Serve until told to stop."""
    asyncio.run(_serve(sys.argv[1:]))


if __name__ == "__main__":
    main()
