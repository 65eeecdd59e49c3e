"""Any split of any requests gives the same answers."""

import asyncio
import re
import socket
from itertools import pairwise
from typing import Any

import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn.server import ServerState

from gateway.http1 import HttpProtocol
from tests.http1.clients import echo

CONFIG = uvicorn.Config(echo, lifespan="off", log_config=None)
CONFIG.load()


def chunked(body: bytes, size: int) -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


bodies = st.binary(max_size=60) | st.sampled_from([b"GET / HTTP/1.1\r\n\r\n", b"\r\n\r\n", b"0\r\n\r\n"])
plain = st.sampled_from([b"GET", b"HEAD", b"DELETE"]).map(lambda method: (method, b"", b""))
sized = st.builds(
    lambda body, more: (b"POST", b"content-length: %d\r\n%b" % (len(body), more), body),
    bodies,
    st.sampled_from([b"", b"expect: 100-continue\r\n", b"connection: upgrade\r\nupgrade: h2c\r\n"]),
)
in_chunks = st.builds(
    lambda body, size: (b"PUT", b"transfer-encoding: chunked\r\n", (body, chunked(body, size))),
    bodies,
    st.integers(1, 9),
)


@given(
    st.lists(plain | sized | in_chunks, min_size=1, max_size=6),
    st.lists(st.integers(0, 1000), max_size=12),
    st.booleans(),
)
@settings(deadline=None, max_examples=150)
def test_the_answers_do_not_depend_on_the_packets(requests: list[Any], cuts: list[int], waits: bool) -> None:
    sent, expected = b"", []
    for number, (method, more, body) in enumerate(requests):
        wire, body = (body[1], body[0]) if isinstance(body, tuple) else (body, body)
        sent += b"%b /%d HTTP/1.1\r\nhost: a\r\n%b\r\n%b" % (method, number, more, wire)
        expected.append(b"" if method == b"HEAD" else b"%b /%d %b" % (method, number, body))
    sent += b"GET /end HTTP/1.1\r\nconnection: close\r\n\r\n"
    expected.append(b"GET /end ")
    at = sorted({0, len(sent), *(cut for cut in cuts if cut < len(sent))})
    answer = asyncio.run(answer_to([sent[a:b] for a, b in pairwise(at)], waits))
    answer = answer.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")
    assert answer == b"".join(
        b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n%b\r\n%b"
        % (length_of(said, number), b"connection: close\r\n" if number == len(requests) else b"", said)
        for number, said in enumerate(expected)
    )


def length_of(said: bytes, number: int) -> int:
    return len(said) or len(b"HEAD /%d " % number)


async def answer_to(packets: list[bytes], waits: bool) -> bytes:
    """Return all that is answered to packets that arrive exactly like this."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    protocol = HttpProtocol()(CONFIG, ServerState(), {})
    await loop.create_connection(lambda: protocol, sock=ours)
    for packet in packets:
        protocol.data_received(packet)
        if waits:
            await asyncio.sleep(0)
    with theirs:
        answer = b""
        while piece := await asyncio.wait_for(loop.sock_recv(theirs, 65536), 5):
            answer += piece
    assert re.match(rb"HTTP/1\.1 ", answer)
    return answer
