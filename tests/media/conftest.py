"""A media host that counts what it is asked, and an archive over a folder."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.media.archive import Archive, open_objects
from gateway.media.fetch import Fetcher
from gateway.transport import Transport
from tests.serving import serving

FILM = bytes(range(256)) * 40


class MediaHost:
    """Serves `FILM` at /film.mp4 with ranges; other paths misbehave as their name says."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[tuple[str, dict[str, str]]] = []

    async def __call__(self, scope, receive, send) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.asked.append((scope["path"], headers))
        match scope["path"]:
            case "/film.mp4":
                await self._film(send, headers.get("range", ""))
            case "/deaf.mp4":
                await _answer(send, 200, FILM)
            case "/unsized.mp4":
                await _answer(send, 200, FILM, sized=False)
            case "/moved.mp4":
                await _answer(send, 302, b"", [(b"location", b"/film.mp4")])
            case "/page.mp4":
                await _answer(send, 200, b"<html>sign in</html>", media_type=b"text/html")
            case "/slow.mp4":
                await send({"type": "http.response.start", "status": 200, "headers": []})
                while (await receive())["type"] != "http.disconnect":
                    pass
            case _:
                await _answer(send, 404, b"gone")

    async def _film(self, send, wanted: str) -> None:
        if not wanted:
            await _answer(send, 200, FILM)
            return
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start = int(first) if first else max(0, len(FILM) - int(last))
        end = min(len(FILM), int(last) + 1) if first and last else len(FILM)
        if start >= len(FILM):
            await _answer(send, 416, b"", [(b"content-range", b"bytes */%d" % len(FILM))])
            return
        about = b"bytes %d-%d/%d" % (start, end - 1, len(FILM))
        await _answer(send, 206, FILM[start:end], [(b"content-range", about)])


async def _answer(send, status, body, headers=(), *, sized=True, media_type=b"video/mp4") -> None:
    described = [*headers, (b"content-type", media_type)]
    if sized:
        described.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": described})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
async def host() -> AsyncIterator[MediaHost]:
    host = MediaHost()
    async with serving(host) as url:
        host.url = url
        yield host


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    transport = Transport()
    yield transport
    await transport.aclose()


@pytest.fixture
def archive(tmp_path: Path, transport: Transport) -> Archive:
    fetcher = Fetcher(transport, transport, ("127.0.0.1",), 2**20)
    return Archive(open_objects(f"file://{tmp_path}/media"), fetcher)
