"""Whole exchanges with servers that behave and servers that do not."""

import asyncio
import socket
import threading
import time

import pytest

from gateway.transport import (
    Caps,
    ConnectError,
    ConnectionLost,
    InvalidRequest,
    ProtocolError,
    TooLarge,
    Transport,
)
from tests.transport.counting import count_connections

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"


async def fetch(transport, url, method="GET", **options):
    async with await transport.send(method, url, **options) as exchange:
        return exchange.status, await exchange.read()


# What goes out.


async def test_a_request_is_written_as_it_was_given(own, answer):
    server = await answer(OK)
    await fetch(own, f"{server.url}/a/b?c=d#e", "POST", headers=[(b"X-Key", b"v")], body=b"body")
    assert server.requests == [
        (
            b"POST /a/b?c=d HTTP/1.1\r\nX-Key: v\r\n"
            b"host: 127.0.0.1:%d\r\naccept-encoding: identity\r\ncontent-length: 4\r\n\r\n" % server.port,
            b"body",
        )
    ]


async def test_the_callers_own_fields_stand(own, answer):
    server = await answer(OK)
    fields = [(b"Host", b"example"), (b"Content-Length", b"2"), (b"Accept-Encoding", b"gzip")]
    await fetch(own, server.url, "PUT", headers=fields, body=b"hi")
    head, body = server.requests[0]
    assert head == b"PUT / HTTP/1.1\r\nHost: example\r\nContent-Length: 2\r\nAccept-Encoding: gzip\r\n\r\n"
    assert body == b"hi"


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 3_000_000])
async def test_a_body_of_any_size_arrives_whole(transport, answer, size):
    server = await answer(OK)
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    for _ in range(2):
        assert await fetch(transport, server.url, "POST", body=body) == (200, b"hello")
    assert [got for _, got in server.requests] == [body, body]
    assert server.accepted == 1


async def test_a_stream_goes_out_in_chunks_and_without_empty_ones(transport, answer):
    server = await answer(OK)

    async def pieces():
        for piece in (b"one ", b"", b"two ", b"x" * 100_000):
            yield piece

    for _ in range(2):
        assert await fetch(transport, server.url, "POST", body=pieces()) == (200, b"hello")
    head, body = server.requests[1]
    assert b"\r\ntransfer-encoding: chunked\r\n" in head.lower()
    assert body == b"one two " + b"x" * 100_000
    assert server.accepted == 1


async def test_a_stream_of_known_length_keeps_its_length(transport, answer):
    server = await answer(OK)

    async def pieces():
        yield b"on"
        yield b"e"

    await fetch(transport, server.url, "POST", headers=[(b"content-length", b"3")], body=pieces())
    head, body = server.requests[0]
    assert b"chunked" not in head
    assert body == b"one"


@pytest.mark.parametrize("declared", [b"2", b"4"])
async def test_a_stream_that_is_not_as_long_as_it_said_is_an_error(transport, answer, declared):
    server = await answer(OK)

    async def pieces():
        yield b"abc"

    async with asyncio.timeout(5):
        with pytest.raises((InvalidRequest, ConnectionLost)):
            await fetch(transport, server.url, "POST", headers=[(b"content-length", declared)], body=pieces())
    await server.until_empty()


async def test_an_error_in_the_callers_stream_comes_back_and_closes_the_socket(transport, answer):
    server = await answer(OK)
    closed = []

    async def pieces():
        try:
            yield b"abc"
            raise LookupError("no more")
        finally:
            closed.append(True)

    with pytest.raises(LookupError, match="no more"):
        await transport.send("POST", server.url, body=pieces())
    assert closed
    await server.until_empty()


async def test_a_cancel_inside_the_callers_stream_ends_the_call(transport, answer):
    server = await answer(OK)

    async def pieces():
        yield b"abc"
        raise asyncio.CancelledError

    async with asyncio.timeout(5):
        with pytest.raises(ConnectionLost):
            await transport.send("POST", server.url, body=pieces())
    await server.until_empty()


async def test_writing_waits_for_a_peer_that_does_not_read(transport, start):
    begin = asyncio.Event()

    async def handler(server, reader, writer):
        await begin.wait()
        await server.read_request(reader)
        writer.write(OK)
        await reader.read()

    server = await start(handler)
    taken = 0

    async def pieces():
        nonlocal taken
        for _ in range(400):
            taken += 1
            yield b"x" * 65_536

    sending = asyncio.create_task(fetch(transport, server.url, "POST", body=pieces()))
    await asyncio.sleep(0.3)
    assert 0 < taken < 300, "the whole body was buffered"
    begin.set()
    assert await sending == (200, b"hello")
    assert len(server.requests[0][1]) == 400 * 65_536


async def test_an_answer_before_the_end_of_the_upload_is_given_out(transport, start):
    async def handler(server, reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        await reader.read()

    server = await start(handler)
    closed = asyncio.Event()

    async def endless():
        try:
            while True:
                yield b"x"
                await asyncio.sleep(0.01)
        finally:
            closed.set()

    assert await fetch(transport, server.url, "POST", body=endless()) == (413, b"no")
    async with asyncio.timeout(5):
        await closed.wait()
    await server.until_empty()
    assert count_connections(transport)[0] == 0


# What comes back.


@pytest.mark.parametrize("raw", [OK, CHUNKED], ids=["length", "chunked"])
async def test_a_body_is_read_whole_and_the_connection_used_again(transport, answer, raw):
    server = await answer(raw)
    for _ in range(20):
        assert await fetch(transport, server.url) == (200, b"hello")
    assert server.accepted == 1
    assert count_connections(transport) == (1, 1)


async def test_a_body_without_a_length_ends_with_the_connection(transport, answer):
    server = await answer(b"HTTP/1.1 200 OK\r\n\r\nto the end", close=True)
    assert await fetch(transport, server.url) == (200, b"to the end")
    assert await fetch(transport, server.url) == (200, b"to the end")
    assert server.accepted == 2


async def test_headers_are_found_without_regard_to_case(transport, answer):
    server = await answer(b"HTTP/1.1 204 No\r\nX-One: \xe4\r\nx-one: 2\r\n\r\n")
    async with await transport.send("GET", server.url) as exchange:
        assert exchange.headers.get("X-ONE") == b"\xe4"
        assert exchange.headers.get(b"x-One") == b"\xe4"
        assert exchange.headers.text("x-one") == "ä"
        assert exchange.headers.text("x-two", "none") == "none"
        assert exchange.headers.get("x-two") is None
        assert "x-one" in exchange.headers
        assert exchange.headers.raw == [(b"x-one", b"\xe4"), (b"x-one", b"2")]
        assert "\xe4" not in repr(exchange.headers)


async def test_informational_answers_are_skipped(transport, answer):
    server = await answer(
        b"HTTP/1.1 100 Continue\r\nX-Early: 1\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK
    )
    for _ in range(2):
        async with await transport.send("GET", server.url) as exchange:
            assert exchange.status == 200
            assert exchange.headers.raw == [(b"content-length", b"5")]
            assert await exchange.read() == b"hello"
    assert server.accepted == 1


BODILESS = [
    ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 1),
    ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 2),
    ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 2),
    ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\n", 2),
    ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", 1),
    ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 2),
    ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", 2),
]


@pytest.mark.parametrize(("method", "raw"), [case[:2] for case in BODILESS[:-1]])
async def test_an_answer_without_a_body(transport, answer, method, raw):
    server = await answer(raw)
    async with asyncio.timeout(5):
        assert (await fetch(transport, server.url, method))[1] == b""


@pytest.mark.parametrize(("method", "raw", "connections"), BODILESS)
async def test_a_peer_that_announces_a_body_where_there_can_be_none_is_not_trusted_with_another_request(
    own, answer, method, raw, connections
):
    server = await answer(raw)
    for _ in range(2):
        await fetch(own, server.url, method)
    assert server.accepted == connections


async def test_a_redirect_is_an_answer_like_any_other(transport, answer):
    server = await answer(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")
    assert await fetch(transport, server.url, headers=[(b"authorization", b"Bearer x")]) == (302, b"")
    assert len(server.requests) == 1


async def test_no_cookie_is_kept(transport, answer):
    server = await answer(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nContent-Length: 0\r\n\r\n")
    for _ in range(2):  # aiohttp would not keep the cookie of an address anyway
        await fetch(transport, f"http://localhost:{server.port}/")
    assert b"cookie" not in server.requests[1][0].lower()


async def test_one_step_gives_all_that_has_come(transport, start):
    more = asyncio.Event()

    async def handler(server, reader, writer):
        await server.read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for letter in b"abc":
            writer.write(b"1\r\n%c\r\n" % letter)
        await more.wait()
        writer.write(b"1\r\nd\r\n0\r\n\r\n")
        await reader.read()

    server = await start(handler)
    async with await transport.send("GET", server.url) as exchange:
        assert await anext(exchange) == b"abc"
        more.set()
        assert [piece async for piece in exchange] == [b"d"]
        assert [piece async for piece in exchange] == []


async def test_reading_too_slowly_holds_the_server_back(transport, start):
    sent = 0

    async def handler(server, reader, writer):
        nonlocal sent
        await server.read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 33554432\r\n\r\n")
        for _ in range(512):
            writer.write(b"x" * 65_536)
            await writer.drain()
            sent += 65_536
        await reader.read()

    server = await start(handler)
    async with await transport.send("GET", server.url) as exchange:
        await asyncio.sleep(0.3)
        assert sent < 24 * 2**20, "nothing held the server back"
        assert len(await exchange.read()) == 33_554_432
    assert sent == 33_554_432
    assert count_connections(transport) == (1, 1)


# What must be refused.

BROKEN = {
    "both framings": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
    "endless length": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nhello",
    "chunk size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhello",
    "chunk size overflow": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello",
    "chunk too long": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhello\r\n0\r\n\r\n",
    "compressed": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
    "garbage": b"hello\r\n\r\n" + OK,
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
    "NUL in a header": b"HTTP/1.1 200 OK\r\nA: b\0c\r\nContent-Length: 5\r\n\r\nhello",
}


@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_answer_is_a_protocol_error(transport, answer, raw):
    await expect_protocol_error(transport, await answer(raw))


# What aiohttp makes the best of.
DOUBTFUL = {
    "hidden coding": b"HTTP/1.1 200 X\r\nTransfer-Encoding: x\r\nTransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "last coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "upgrade": b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhello",
    "folded header": b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 5\r\n\r\nhello",
    "space before colon": b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
    "status 99": b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("raw", DOUBTFUL.values(), ids=DOUBTFUL.keys())
async def test_a_doubtful_answer_is_a_protocol_error(own, answer, raw):
    await expect_protocol_error(own, await answer(raw))


async def expect_protocol_error(transport, server):
    async with asyncio.timeout(5):
        with pytest.raises(ProtocolError) as caught:
            await fetch(transport, server.url)
    assert caught.value.sent
    await server.until_empty()
    assert count_connections(transport)[0] == 0


CUT = {
    "nothing": b"",
    "in the status line": b"HTTP/1.",
    "in the head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "before the body": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
    "in the body": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
    "in a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    "before the last chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "in the last chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    "after an early answer": b"HTTP/1.1 100 Continue\r\n\r\n",
}


@pytest.mark.parametrize("raw", CUT.values(), ids=CUT.keys())
async def test_a_cut_answer_is_a_lost_connection(transport, answer, raw):
    server = await answer(raw, close=True)
    with pytest.raises(ConnectionLost) as caught:
        await fetch(transport, server.url, "POST")
    assert caught.value.sent
    assert len(server.requests) == 1, "sent again"
    await asyncio.sleep(0.01)
    assert count_connections(transport)[0] == 0


async def test_what_came_before_the_cut_is_given_out_first(transport, answer):
    server = await answer([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel", b"lo"], close=True, pause=0.05)
    async with await transport.send("GET", server.url) as exchange:
        got = b""
        while len(got) < 5:
            got += await anext(exchange)
        assert got == b"hello"
        with pytest.raises(ConnectionLost):
            await anext(exchange)


async def test_a_compressed_answer_is_fine_for_who_asked(transport, answer):
    server = await answer(BROKEN["compressed"])
    assert await fetch(transport, server.url, headers=[(b"Accept-Encoding", b"gzip")]) == (200, b"hello")


HUGE_HEADS = {
    "one line": b"HTTP/1.1 200 OK\r\nA: " + b"x" * 100_000 + b"\r\n\r\n",
    "an endless line": b"HTTP/1.1 200 OK\r\nA: " + b"x" * 400_000,
    "many lines": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
    "many early answers": b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" * 20_000,
    "many bare early answers": b"HTTP/1.1 100 C\r\n\r\n" * 20_000,
    "empty lines": b"\r\n" * 200_000,
    "a trailer": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: " + b"x" * 400_000,
    "a chunk extension": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;" + b"x" * 400_000,
}


@pytest.mark.parametrize("raw", HUGE_HEADS.values(), ids=HUGE_HEADS.keys())
async def test_a_head_has_a_cap(own, answer, raw):
    server = await answer(raw)
    async with asyncio.timeout(5):
        with pytest.raises(TooLarge) as caught:
            await fetch(own, server.url)
    assert caught.value.part == "header"
    await server.until_empty()


@pytest.mark.parametrize("framing", [b"Content-Length: 1001\r\n\r\n", b"\r\n"], ids=["length", "to the end"])
async def test_a_body_has_a_cap(transport, answer, framing):
    server = await answer(b"HTTP/1.1 200 OK\r\n" + framing + b"x" * 1001)
    with pytest.raises(TooLarge) as caught:
        await fetch(transport, server.url, caps=Caps(body_bytes=1000))
    assert caught.value.part == "body"
    await server.until_empty()


async def test_a_body_of_just_the_cap_is_accepted(transport, answer):
    server = await answer(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000)
    assert await fetch(transport, server.url, caps=Caps(body_bytes=1000)) == (200, b"x" * 1000)


# Connections that are used again, and those that must not be.


async def test_parallel_calls_have_a_connection_each_and_give_them_all_back(transport, answer):
    server = await answer(OK, pause=0.05)
    for _ in range(2):
        results = await asyncio.gather(*(fetch(transport, server.url) for _ in range(30)))
        assert results == [(200, b"hello")] * 30
    assert server.accepted == 30
    assert count_connections(transport)[1] == 30


async def test_no_more_than_max_idle_connections_are_kept(answer):
    server = await answer(OK, pause=0.05)
    transport = Transport(max_idle=3)
    await asyncio.gather(*(fetch(transport, server.url) for _ in range(10)))
    assert count_connections(transport)[1] == 3
    await transport.aclose()


async def test_an_idle_connection_is_closed_in_time_and_not_used_after(answer):
    server = await answer(OK)
    transport = Transport(idle_seconds=0.1)
    await fetch(transport, server.url)
    assert count_connections(transport)[1] == 1
    await server.until_empty()
    assert count_connections(transport) == (0, 0)
    await fetch(transport, server.url)
    assert server.accepted == 2
    await transport.aclose()


async def test_a_connection_that_is_too_old_is_not_used_even_if_nobody_closed_it_yet(answer):
    server = await answer(OK)
    transport = Transport(idle_seconds=0.05)
    await fetch(transport, server.url)
    time.sleep(0.1)  # noqa: ASYNC251 - the loop must not get to close it
    await fetch(transport, server.url)
    assert server.accepted == 2
    await transport.aclose()


async def test_a_connection_closed_by_the_peer_while_idle_is_replaced(transport, answer):
    server = await answer(OK, close=True)
    for _ in range(2):
        assert await fetch(transport, server.url) == (200, b"hello")
        await server.until_empty()
        await asyncio.sleep(0.02)
    assert server.accepted == 2


async def test_a_connection_whose_end_the_loop_has_not_read_yet_is_replaced(transport):
    def serve(listener):
        for _ in range(2):
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(OK)
                time.sleep(0.05)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        assert await fetch(transport, url) == (200, b"hello")
        time.sleep(0.2)  # noqa: ASYNC251 - the end comes while the loop is busy with something else
        assert await fetch(transport, url) == (200, b"hello")
        thread.join()


async def test_an_answer_nobody_asked_for_is_never_the_next_one(transport, answer):
    server = await answer(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    for _ in range(3):
        assert await fetch(transport, server.url) == (200, b"hello")
    assert server.accepted == 3


async def test_bytes_that_come_to_an_idle_connection_end_it(own, answer):
    server = await answer([OK, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"], pause=0.05)
    for _ in range(2):
        assert await fetch(own, server.url) == (200, b"hello")
        await asyncio.sleep(0.1)
    assert server.accepted == 2
    assert count_connections(own)[0] == 0


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ],
)
async def test_a_server_that_wants_no_more_requests_gets_none(transport, answer, raw):
    server = await answer(raw)
    for _ in range(2):
        assert await fetch(transport, server.url) == (200, b"hello")
    assert server.accepted == 2


async def test_nothing_is_sent_twice_over_a_connection_that_dies_under_it(transport, start):
    async def handler(server, reader, writer):
        await server.read_request(reader)
        writer.write(OK)
        await server.read_request(reader)  # and no answer

    server = await start(handler)
    await fetch(transport, server.url)
    with pytest.raises(ConnectionLost) as caught:
        await fetch(transport, server.url, "POST", body=b"pay")
    assert caught.value.sent
    assert len(server.requests) == 2


async def test_closing_early_closes_the_socket_and_closing_late_does_not(own, start):
    async def handler(server, reader, writer):
        await server.read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        await reader.read()

    server = await start(handler)
    exchange = await own.send("GET", server.url)
    exchange.close()
    exchange.close()
    await exchange.aclose()
    await server.until_empty()
    assert count_connections(own)[0] == 0
    assert await anext(exchange) == b"hello"
    with pytest.raises(ConnectionLost):
        await anext(exchange)


async def test_a_whole_body_can_be_read_after_the_connection_went_back(own, answer):
    server = await answer(OK)
    exchange = await own.send("GET", server.url)
    exchange.close()
    assert count_connections(own)[1] == 1
    assert await fetch(own, server.url) == (200, b"hello")
    assert await exchange.read() == b"hello"
    assert server.accepted == 1


async def test_an_unread_body_that_is_whole_does_not_spoil_the_connection(transport, answer):
    """Its last bytes may have stopped the reading."""
    server = await answer(b"HTTP/1.1 200 OK\r\nContent-Length: 262145\r\n\r\n" + b"x" * 262_145, OK)
    exchange = await transport.send("GET", server.url)
    await asyncio.sleep(0.1)
    exchange.close()
    async with asyncio.timeout(5):
        assert await fetch(transport, server.url) == (200, b"hello")
    assert server.accepted == 1


async def test_two_readers_of_one_answer_are_a_mistake_that_is_told(own, start):
    async def handler(server, reader, writer):
        await server.read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        await reader.read()

    server = await start(handler)
    exchange = await own.send("GET", server.url)
    first = asyncio.create_task(anext(exchange))
    await asyncio.sleep(0.01)
    with pytest.raises(RuntimeError, match="two tasks"):
        await anext(exchange)
    with pytest.raises(ConnectionLost):
        await first


async def test_closing_the_transport_is_not_the_end_of_a_body(answer):
    server = await answer(b"HTTP/1.1 200 OK\r\n\r\nnot all")
    transport = Transport()
    exchange = await transport.send("GET", server.url)
    await asyncio.gather(transport.aclose(), transport.aclose())
    assert await anext(exchange) == b"not all"
    with pytest.raises(ConnectionLost):
        await anext(exchange)


async def test_a_closed_transport_has_no_sockets_and_takes_no_calls(answer):
    server = await answer([b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", b""])
    transport = Transport()
    busy = await transport.send("GET", server.url)
    await transport.aclose()
    await transport.aclose()
    assert count_connections(transport)[0] == 0
    with pytest.raises(ConnectionLost):
        await busy.read()
    with pytest.raises(ConnectError) as caught:
        await transport.send("GET", server.url)
    assert not caught.value.sent
    await server.until_empty()


# Where to.


async def test_an_ipv6_address_is_reached(transport, answer):
    server = await answer(OK, host="::1")
    assert await fetch(transport, server.url) == (200, b"hello")
    assert b"host: [::1]:%d\r\n" % server.port in server.requests[0][0]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_localhost_is_whichever_family_answers(own, answer, host):
    server = await answer(OK, host=host)
    assert await fetch(own, f"http://localhost:{server.port}/") == (200, b"hello")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "no-such-host.invalid", "a" * 70 + ".invalid"])
async def test_nobody_there_is_a_connect_error(transport, answer, host):
    server = await answer(OK)
    await server.stop()
    with pytest.raises(ConnectError) as caught:
        await transport.send("POST", f"http://{host}:{server.port}/", body=b"pay")
    assert not caught.value.sent
    assert count_connections(transport)[0] == 0


@pytest.mark.parametrize(
    "options",
    [
        {"method": "GET / HTTP/1.1\r\nX: y\r\n"},
        {"method": "GÉT"},
        {"method": ""},
        {"method": "CONNECT"},
        {"headers": [(b"x", b"a\r\ny: b")]},
        {"headers": [(b"x", b"a\rb")]},
        {"headers": [(b"x", b"a\nb")]},
        {"headers": [(b"x", b"a\0b")]},
        {"headers": [(b"x\r\ny", b"a")]},
        {"headers": [(b"x: y", b"a")]},
        {"headers": [(b"", b"a")]},
        {"headers": [(b"Transfer-Encoding", b"chunked")]},
        {"headers": [(b"Host", b"a"), (b"host", b"b")]},
        {"headers": [(b"Content-Length", b"3")], "body": b"four"},
        {"headers": [(b"Content-Length", b"+4")], "body": b"four"},
    ],
)
async def test_a_request_that_would_smuggle_is_refused_before_anything_is_sent(transport, answer, options):
    server = await answer(OK)
    with pytest.raises(InvalidRequest) as caught:
        await fetch(transport, server.url, **options)
    assert not caught.value.sent
    assert server.accepted == 0
