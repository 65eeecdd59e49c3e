"""What answers become: framing, faults, clients that leave or do not read."""

import asyncio
import logging
from typing import Any

import pytest

from tests.http1.clients import calling, echo

pytestmark = pytest.mark.anyio


def request(method: bytes = b"GET", version: bytes = b"1.1", more: bytes = b"") -> bytes:
    return b"%b / HTTP/%b\r\nhost: a\r\n%b\r\n" % (method, version, more)


def saying(*bodies: bytes, status: int = 200, headers: Any = ()) -> Any:
    """Return an application that answers in these pieces."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        for body in bodies[:-1]:
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": bodies[-1]})

    return app


LENGTH_4 = [(b"content-length", b"4")]
CHUNKED = b"transfer-encoding: chunked"
CLOSE = b"connection: close"


@pytest.mark.parametrize(
    ("app", "sent", "has", "has_not", "body"),
    [
        (saying(b"ab", b"", b"cd"), request(), CHUNKED, CLOSE, b"2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"),
        (saying(b"ab", b""), request(version=b"1.0"), CLOSE, CHUNKED, b"ab"),
        (
            saying(b"ab", b""),
            request(version=b"1.0", more=b"connection: keep-alive\r\n"),
            CLOSE,
            CHUNKED,
            b"ab",
        ),
        (saying(b"ab", b"cd", headers=LENGTH_4), request(), b"content-length: 4", CHUNKED, b"abcd"),
        (saying(b"abcd", headers=LENGTH_4), request(b"HEAD"), b"content-length: 4", CHUNKED, b""),
        (saying(b"abcd"), request(b"HEAD"), b"200 OK", CHUNKED, b""),
        (saying(b"", status=204), request(), b"204 No Content", CHUNKED, b""),
        (saying(b"", status=304, headers=LENGTH_4), request(), b"304 Not Modified", CHUNKED, b""),
        (
            saying(b"ab"),
            request(more=b"connection: close\r\n"),
            CLOSE,
            b"keep-alive",
            b"2\r\nab\r\n0\r\n\r\n",
        ),
        (
            saying(b"ab", headers=[(b"connection", b"close")]),
            request(),
            CLOSE,
            b"alive",
            b"2\r\nab\r\n0\r\n\r\n",
        ),
    ],
)
async def test_answers_are_framed(app: Any, sent: bytes, has: bytes, has_not: bytes, body: bytes) -> None:
    async with calling(app) as client:
        client.send(sent)
        head = await client.head()
        assert has in head
        assert has_not not in head
        assert head.count(CLOSE) <= 1
        assert await client.reader.readexactly(len(body)) == body
        if CLOSE in head:
            assert await client.rest() == b""
        else:  # nothing is left over, and the connection serves on
            client.send(request(more=b"connection: close\r\n"))
            assert (await client.rest()).startswith(b"HTTP/1.1 ")


async def test_an_old_client_may_stay() -> None:
    async with calling(saying(b"abcd", headers=LENGTH_4)) as client:
        for _ in range(2):
            client.send(request(version=b"1.0", more=b"connection: keep-alive\r\n"))
            head, body = await client.answer()
            assert b"connection: keep-alive" in head
            assert body == b"abcd"


async def fault(scope: Any, receive: Any, send: Any) -> None:
    raise LookupError("mine")


async def silent(scope: Any, receive: Any, send: Any) -> None:
    pass


async def headed_fault(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise LookupError("mine")


@pytest.mark.parametrize(
    "app",
    [
        fault,
        silent,
        headed_fault,
        saying(b"ab", headers=[(b"a", b"b\r\nc: d")]),
        saying(b"ab", headers=[(b"a b", b"c")]),
        saying(b"ab", status=101),
        saying(b"abcde", headers=LENGTH_4),
        saying(b"a", status=204),
        saying(b"abc", headers=LENGTH_4),
    ],
)
@pytest.mark.parametrize("method", [b"GET", b"POST"])
async def test_a_fault_before_the_answer_is_a_500(
    app: Any, method: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with calling(app) as client:
        client.send(request(method))
        answer = await client.rest()
    assert answer.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert answer.endswith(b"\r\n\r\nInternal Server Error")
    assert answer.count(b"HTTP/1.1") == 1
    assert CLOSE in answer
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info or app is silent


async def test_a_fault_of_a_head_request_has_no_body() -> None:
    async with calling(fault) as client:
        client.send(request(b"HEAD"))
        assert (await client.rest()).endswith(b"\r\n\r\n")


async def half(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ab", "more_body": True})


async def half_and_fault(scope: Any, receive: Any, send: Any) -> None:
    await half(scope, receive, send)
    raise LookupError("mine")


@pytest.mark.parametrize(
    "app",
    [half, half_and_fault, saying(b"ab", b"cde", headers=LENGTH_4), saying(b"ab", b"c", headers=LENGTH_4)],
)
async def test_a_fault_in_an_answer_cuts_it(app: Any, caplog: pytest.LogCaptureFixture) -> None:
    async with calling(app) as client:
        client.send(request() + request())
        answer = await client.rest()
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"ab\r\n" if CHUNKED in answer else b"ab")
    assert answer.count(b"HTTP/1.1") == 1
    assert [record.levelno for record in caplog.records].count(logging.ERROR) == 1


async def test_a_fault_after_the_answer_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await echo(scope, receive, send)
        assert await receive() == {"type": "http.disconnect"}
        with pytest.raises(RuntimeError, match="next"):
            await send({"type": "http.response.body", "body": b"more"})
        raise LookupError("mine")

    async with calling(app) as client:
        for _ in range(2):
            client.send(request())
            assert (await client.answer())[1] == b"GET / "
    assert "Exception in ASGI application" in caplog.text


@pytest.mark.parametrize("kind", ["http.response.body", "websocket.send"])
async def test_messages_come_in_order(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": kind, "body": b""})

    async with calling(app) as client:
        client.send(request())
        assert (await client.rest()).startswith(b"HTTP/1.1 500")
    assert kind in caplog.text


async def test_requests_are_answered_in_order_one_at_a_time() -> None:
    running = most = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        await echo(scope, receive, send)
        running -= 1

    async with calling(app) as client:
        client.send(b"".join(b"GET /%d HTTP/1.1\r\nhost: a\r\n\r\n" % number for number in range(20)))
        for number in range(20):
            assert (await client.answer())[1] == b"GET /%d " % number
    assert most == 1


async def test_pipelined_requests_are_not_taken_in_for_ever() -> None:
    async def stuck(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    size = 40_000_000
    async with calling(stuck) as client:
        client.send(request() * (size // len(request())))
        await asyncio.sleep(0.3)
        assert client.writer.transport.get_write_buffer_size() > size // 2
        client.writer.transport.abort()


@pytest.mark.parametrize("pipelined", [0, 3])
@pytest.mark.parametrize("where", ["before", "in the body", "in the answer"])
async def test_a_client_that_leaves_is_noticed(
    where: str, pipelined: int, caplog: pytest.LogCaptureFixture
) -> None:
    left = asyncio.Event()
    calls = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal calls
        calls += 1
        if where == "in the answer":
            await half(scope, receive, send)
        while (await receive())["type"] == "http.request":
            pass
        left.set()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async with calling(app) as client:
        more = b"content-length: 5\r\n" if where == "in the body" else b""
        client.send(request(b"POST", more=more) + (b"ab" if more else request() * pipelined))
        await asyncio.sleep(0.05)
        client.writer.close()
        await asyncio.wait_for(left.wait(), 2)
        await asyncio.sleep(0.02)
    assert calls == 1
    assert not caplog.records


async def test_a_client_that_does_not_read_makes_the_answer_wait() -> None:
    sent = 0
    ended = asyncio.Event()

    async def flood(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1000):
            await send({"type": "http.response.body", "body": bytes(100_000), "more_body": True})
            sent += 1
            await asyncio.sleep(0)
        ended.set()

    async with calling(flood) as client:
        client.writer.transport.pause_reading()
        client.send(request())
        await asyncio.sleep(0.3)
        assert 0 < sent < 500
        stopped = sent
        client.writer.transport.resume_reading()
        await client.reader.readexactly(20_000_000)
        assert sent > stopped
        client.writer.transport.abort()
        await asyncio.wait_for(ended.wait(), 5)  # it waits no more, and says it to nobody
