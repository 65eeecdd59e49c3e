"""Bodies that come whole, in pieces, too large, too slowly or not at all."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.generation.errors import GatewayError, InvalidRequest, TooLarge
from gateway.web.body import ClientGone, RequestBodies

pytestmark = pytest.mark.anyio


class Wire:
    """ASGI's receive: gives the pieces out, then waits for ever or says that the client has gone."""

    def __init__(self, pieces: Sequence[bytes], *, whole: bool = True, gone: bool = False) -> None:
        self._messages: list[dict[str, Any]] = [
            {"type": "http.request", "body": piece, "more_body": not whole or number < len(pieces) - 1}
            for number, piece in enumerate(pieces)
        ]
        self._gone = gone

    async def receive(self) -> Any:
        if self._messages:
            return self._messages.pop(0)
        if self._gone:
            return {"type": "http.disconnect"}
        await asyncio.Event().wait()
        return None


async def read(wire: Wire, *, declared: bytes = b"0", limit: int = 100, seconds: float = 60) -> bytes:
    reader = asyncio.current_task()
    assert reader is not None
    return await RequestBodies(seconds).read(reader, {b"content-length": declared}, wire.receive, limit)


@pytest.mark.parametrize("pieces", [[b""], [b"abc"], [b"a", b"", b"bc"]])
async def test_a_body_is_the_sum_of_its_pieces(pieces: list[bytes]) -> None:
    assert await read(Wire(pieces)) == b"".join(pieces)


async def test_a_body_of_the_limit_passes_and_one_byte_more_does_not() -> None:
    assert len(await read(Wire([b"x" * 10]), limit=10)) == 10
    with pytest.raises(TooLarge):
        await read(Wire([b"x" * 6, b"x" * 5]), limit=10)


@pytest.mark.parametrize(
    ("declared", "error"), [(b"11", TooLarge), (b"-1", InvalidRequest), (b"\xb2", InvalidRequest)]
)
async def test_the_declared_length_is_judged_before_anything_is_read(
    declared: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await read(Wire([]), declared=declared, limit=10)


async def test_a_client_that_leaves_in_mid_body_is_gone() -> None:
    with pytest.raises(ClientGone):
        await read(Wire([b"half"], whole=False, gone=True))


async def test_a_dribbled_body_ends_with_a_status() -> None:
    with pytest.raises(GatewayError) as caught:
        await read(Wire([b"half"], whole=False), seconds=0.02)
    assert caught.value.status == 408


async def test_a_cancelled_read_stays_cancelled() -> None:
    reading = asyncio.create_task(read(Wire([])))
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
