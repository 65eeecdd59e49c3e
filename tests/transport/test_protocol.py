"""One connection, seen from the event loop's side."""

import asyncio
import socket

import pytest

from gateway.transport.errors import ConnectError
from gateway.transport.limits import Caps, Deadlines
from gateway.transport.protocol import Connection
from gateway.transport.response import Response

pytestmark = pytest.mark.anyio


async def test_a_connection_whose_end_was_seen_takes_no_request() -> None:
    """Not even before the loop has come round to closing it: nothing must count as sent."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    gone = asyncio.Event()
    connection = Connection(loop, "http://test:80", lambda _: gone.set())
    with theirs:
        await loop.create_connection(lambda: connection, sock=ours)
        assert connection.reusable
        connection.eof_received()
        assert not connection.reusable
        response = Response(loop, Caps(), bodiless=False, coded_allowed=False)
        with pytest.raises(ConnectError) as caught:
            connection.begin(response, Deadlines(), loop.time())
        assert not caught.value.sent
        await asyncio.wait_for(gone.wait(), 5)
