"""What is written in one pass of the loop leaves together, in order, and nothing stays behind."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.transport import BatchingTransport

pytestmark = pytest.mark.anyio


class Below(asyncio.Transport):
    """Notes what reaches it."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.ended = ""

    def write(self, data) -> None:
        assert not self.ended
        self.writes.append(bytes(data))

    def close(self) -> None:
        self.ended = "closed"

    def abort(self) -> None:
        self.ended = "aborted"

    def is_closing(self) -> bool:
        return bool(self.ended)


@pytest.fixture
def below() -> Below:
    return Below()


@pytest.fixture
async def transport(below: Below) -> BatchingTransport:
    return BatchingTransport(below, asyncio.get_running_loop())


async def test_one_pass_is_one_write(below: Below, transport: BatchingTransport) -> None:
    transport.write(b"head")
    transport.write(bytearray(b" and body"))
    assert below.writes == []
    await asyncio.sleep(0)
    assert below.writes == [b"head and body"]
    transport.write(b"more")
    await asyncio.sleep(0)
    assert below.writes == [b"head and body", b"more"]


async def test_large_amounts_leave_at_once(below: Below, transport: BatchingTransport) -> None:
    """A caller that never gives way would otherwise fill the memory and never be told to pause."""
    for _ in range(100):
        transport.write(b"x" * 4096)
    assert 100 * 4096 - sum(map(len, below.writes)) <= 64 * 1024


async def test_closing_sends_what_waits(below: Below, transport: BatchingTransport) -> None:
    transport.write(b"last")
    transport.close()
    await asyncio.sleep(0)
    assert (below.writes, below.ended) == ([b"last"], "closed")


async def test_aborting_does_not(below: Below, transport: BatchingTransport) -> None:
    transport.write(b"too late")
    transport.abort()
    await asyncio.sleep(0)
    assert (below.writes, below.ended) == ([], "aborted")


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(0, 100_000))))
def test_every_byte_arrives_in_order(steps: list[int | None]) -> None:
    """None is a pass of the loop, a number the size of a write."""

    async def run() -> None:
        below = Below()
        transport = BatchingTransport(below, asyncio.get_running_loop())
        sent = []
        for number, size in enumerate(steps):
            if size is None:
                await asyncio.sleep(0)
            else:
                sent.append(bytes([number % 256]) * size)
                transport.write(sent[-1])
        transport.close()
        assert b"".join(below.writes) == b"".join(sent)

    asyncio.run(run())
