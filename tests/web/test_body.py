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


@pytest.mark.parametrize("pieces", [[b""], [b"abc"], [b"a", b"", b"bc"]])
async def test_a_body_is_the_sum_of_its_pieces(pieces: list[bytes]) -> None:
    assert await RequestBodies().read({}, Wire(pieces).receive, 100) == b"".join(pieces)


async def test_a_body_of_the_limit_passes_and_one_byte_more_does_not() -> None:
    assert len(await RequestBodies().read({}, Wire([b"x" * 10]).receive, 10)) == 10
    with pytest.raises(TooLarge):
        await RequestBodies().read({}, Wire([b"x" * 6, b"x" * 5]).receive, 10)


@pytest.mark.parametrize(
    ("declared", "error"), [(b"11", TooLarge), (b"-1", InvalidRequest), (b"\xb2", InvalidRequest)]
)
async def test_the_declared_length_is_judged_before_anything_is_read(
    declared: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await RequestBodies().read({b"content-length": declared}, Wire([]).receive, 10)


async def test_a_client_that_leaves_in_mid_body_is_gone() -> None:
    with pytest.raises(ClientGone):
        await RequestBodies().read({}, Wire([b"half"], whole=False, gone=True).receive, 100)


async def test_a_dribbled_body_ends_with_a_status() -> None:
    with pytest.raises(GatewayError) as caught:
        await RequestBodies(seconds=0.02).read({}, Wire([b"half"], whole=False).receive, 100)
    assert caught.value.status == 408


async def test_a_cancelled_read_stays_cancelled() -> None:
    reading = asyncio.create_task(RequestBodies().read({}, Wire([]).receive, 100))
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
