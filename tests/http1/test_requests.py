"""What requests become: scopes, bodies, refusals."""

import asyncio
from typing import Any

import pytest

from tests.http1.clients import calling, echo, read_body

pytestmark = pytest.mark.anyio

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n\r\n"


async def scope_of(request: bytes) -> dict[str, Any]:
    scopes: list[dict[str, Any]] = []

    async def note(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await echo(scope, receive, send)

    async with calling(note) as client:
        client.send(request)
        await client.answer()
    return scopes[0]


async def test_a_scope_is_as_asgi_has_it() -> None:
    scope = await scope_of(
        b"PUT /a%20b/%C3%A9?x=%20 HTTP/1.1\r\nHost: a\r\nX-Empty:\r\nX-A:  1\r\nContent-Length: 0\r\n\r\n"
    )
    assert scope.pop("client")[0] == "127.0.0.1"
    assert scope.pop("server")[0] == "127.0.0.1"
    assert scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "PUT",
        "scheme": "http",
        "root_path": "",
        "path": "/a b/é",
        "raw_path": b"/a%20b/%C3%A9",
        "query_string": b"x=%20",
        "headers": [(b"host", b"a"), (b"x-empty", b""), (b"x-a", b"1"), (b"content-length", b"0")],
        "state": {},
    }


@pytest.mark.parametrize(("target", "path"), [(b"http://b/c?d", "/c"), (b"/a#b", "/a"), (b"*", "*")])
async def test_targets_of_other_forms(target: bytes, path: str) -> None:
    assert (await scope_of(b"GET %b HTTP/1.1\r\nhost: a\r\n\r\n" % target))["path"] == path


REFUSED = {
    "no http": b"hello\r\n\r\n",
    "length and chunks": b"POST / HTTP/1.1\r\ncontent-length: 3\r\n" + CHUNKED + b"0\r\n\r\n",
    "chunks and length": b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0",
    "two lengths": b"POST / HTTP/1.1\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
    "length of words": b"POST / HTTP/1.1\r\ncontent-length: three\r\n\r\nabc",
    "negative length": b"POST / HTTP/1.1\r\ncontent-length: -3\r\n\r\nabc",
    "huge length": b"POST / HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\nabc",
    "list of lengths": b"POST / HTTP/1.1\r\ncontent-length: 3, 3\r\n\r\nabc",
    "chunked not last": b"POST / HTTP/1.1\r\ntransfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "folding": b"GET / HTTP/1.1\r\nhost: a\r\n b\r\n\r\n",
    "bare lf": b"GET / HTTP/1.1\nhost: a\n\n",
    "bare cr": b"GET / HTTP/1.1\r\nhost: a\rb: c\r\n\r\n",
    "nul": b"GET / HTTP/1.1\r\nhost: a\0b\r\n\r\n",
    "space before colon": b"GET / HTTP/1.1\r\nhost : a\r\n\r\n",
    "no name": b"GET / HTTP/1.1\r\n: a\r\n\r\n",
    "tunnel": b"CONNECT a:80 HTTP/1.1\r\nhost: a\r\n\r\n",
    "http 2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "bytes in the path": b"GET /\xff HTTP/1.1\r\nhost: a\r\n\r\n",
}


@pytest.mark.parametrize("request_", REFUSED.values(), ids=REFUSED)
async def test_nonsense_is_refused_and_the_connection_closed(request_: bytes) -> None:
    calls = 0

    async def count(scope: Any, receive: Any, send: Any) -> None:
        nonlocal calls
        calls += 1
        assert (await receive())["type"] == "http.disconnect"

    async with calling(count) as client:
        client.send(request_ + GET)
        answer = await client.rest()
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert answer.endswith(b"\r\n\r\nInvalid HTTP request received.")
    assert b"connection: close" in answer
    assert calls == 0


@pytest.mark.parametrize("broken", [b"5\r\nab", b"x\r\n", b"3\r\nabcd\r\n", b"1;a=\0\r\n"])
async def test_a_broken_body_is_refused(broken: bytes) -> None:
    messages = []

    async def read(scope: Any, receive: Any, send: Any) -> None:
        while not messages or messages[-1]["type"] == "http.request":
            messages.append(await receive())

    async with calling(read) as client:
        client.send(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n" + broken)
        await asyncio.sleep(0.02)
        client.send(b"zz\r\n\r\n!")
        assert (await client.rest()).startswith(b"HTTP/1.1 400")
    assert messages[-1]["type"] == "http.disconnect"


async def test_nonsense_behind_a_request_waits_for_its_answer() -> None:
    go = asyncio.Event()

    async def wait(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        await echo(scope, receive, send)

    async with calling(wait) as client:
        client.send(GET + b"nonsense\r\n\r\n")
        await asyncio.sleep(0.02)
        go.set()
        assert (await client.answer())[1] == b"GET / "
        assert (await client.rest()).startswith(b"HTTP/1.1 400")


async def test_a_broken_request_behind_another_never_reaches_the_application() -> None:
    async with calling(echo) as client:
        client.send(GET + b"POST /b HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nx")
        assert (await client.answer())[1] == b"GET / "
        assert (await client.rest()).startswith(b"HTTP/1.1 400")


async def test_trailers_belong_to_no_head() -> None:
    heads: list[Any] = []

    async def note(scope: Any, receive: Any, send: Any) -> None:
        await echo(scope, receive, send)
        heads.append(scope["headers"])

    chunked = b"POST / HTTP/1.1\r\n" + CHUNKED + b"1\r\na\r\n0\r\nauthorization: evil\r\nx: y\r\n\r\n"
    async with calling(note) as client:
        client.send(chunked + GET + chunked)
        for _ in range(3):
            await client.answer()
        await asyncio.sleep(0.01)
    assert heads == [
        [(b"transfer-encoding", b"chunked")],
        [(b"host", b"a")],
        [(b"transfer-encoding", b"chunked")],
    ]


@pytest.mark.parametrize("cut", [0, 20, 108, 110, 115])
async def test_offers_of_other_protocols_are_not_taken(cut: int) -> None:
    offer = (
        b"POST /u HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: h2c\r\ncontent-length: %d\r\n\r\n"
        % len(GET)
    )
    sent = offer + GET + GET
    async with calling(echo) as client:
        client.send(sent[:cut])
        await asyncio.sleep(0.02)
        client.send(sent[cut:])
        assert (await client.answer())[1] == b"POST /u " + GET
        assert (await client.answer())[1] == b"GET / "


async def test_a_thousand_offers_at_once() -> None:
    offer = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
    async with calling(echo) as client:
        client.send(offer * 2000)
        for _ in range(2000):
            await client.answer()


@pytest.mark.parametrize("expect", [b"expect: 100-continue", b"Expect: 100-Continue"])
async def test_a_body_is_asked_for_when_it_is_wanted(expect: bytes) -> None:
    head = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n%b\r\n\r\n" % expect
    async with calling(echo) as client:
        for _ in range(2):
            client.send(head)
            assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.send(b"abc")
            assert (await client.answer())[1] == b"POST / abc"
        client.send(head + b"abc")
        assert (await client.answer())[1] == b"POST / abc"


async def test_a_body_that_was_not_asked_for_closes_the_connection() -> None:
    async def refuse(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    async with calling(refuse) as client:
        client.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n")
        answer = await client.rest()
    assert answer.startswith(b"HTTP/1.1 401")
    assert b"connection: close" in answer


async def test_the_rest_of_a_body_after_its_answer_is_no_request() -> None:
    async def hasty(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    async with calling(hasty) as client:
        client.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % (2 * len(GET)) + GET)
        await client.answer()
        client.send(GET)
        await asyncio.sleep(0.05)
        client.send(GET)
        await client.answer()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.reader.read(1), 0.1)


async def test_a_large_body_after_its_answer_is_read_to_its_end() -> None:
    async def hasty(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    async with calling(hasty) as client:
        client.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5000000\r\n\r\n")
        await client.answer()
        client.send(bytes(5_000_000) + GET)
        await client.answer()


async def test_a_broken_body_cuts_the_answer_that_began_before_its_end() -> None:
    async def begin(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ab", "more_body": True})
        while (await receive())["type"] == "http.request":
            pass

    async with calling(begin) as client:
        client.send(b"POST / HTTP/1.1\r\nhost: a\r\n" + CHUNKED)
        await client.head()
        client.send(b"x\r\n")
        assert await client.rest() == b"2\r\nab\r\n"


async def test_the_rest_of_a_body_that_does_not_come_is_not_waited_for() -> None:
    async def hasty(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    async with calling(hasty, head_seconds=0.1) as client:
        client.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc")
        await client.answer()
        assert await client.rest() == b""


async def test_a_body_that_nobody_reads_is_not_taken_in() -> None:
    go = asyncio.Event()
    size = 40_000_000

    async def late(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        body = await read_body(receive)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"8")]})
        await send({"type": "http.response.body", "body": b"%d" % len(body)})

    async with calling(late) as client:
        client.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % size)
        client.send(bytes(size))
        await asyncio.sleep(0.3)
        assert client.writer.transport.get_write_buffer_size() > size // 2
        go.set()
        assert (await client.answer())[1] == b"%d" % size


async def test_trailers_and_chunk_lines_are_bounded() -> None:
    for line in (b"0\r\nx: ", b"1;x="):
        async with calling(echo) as client:
            client.send(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n" + line)
            await asyncio.sleep(0.02)
            for _ in range(7):
                client.send(b"a" * 10_000)
                await asyncio.sleep(0.002)
            assert (await client.rest()).startswith(b"HTTP/1.1 400")
