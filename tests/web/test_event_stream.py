"""The event stream on a real socket: prime, ping, batch, back-pressure, disconnects, faults."""

import asyncio
import gc
import weakref
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import httpx
import pytest

from gateway.generation.errors import GatewayError, RateLimited, UpstreamUnavailable
from gateway.generation.events import AnyEvent, Finish, TextDelta
from gateway.web.answers import send_body
from gateway.web.event_stream import EventStream
from tests.serving import serving

pytestmark = pytest.mark.anyio

Events = AsyncGenerator[AnyEvent, None]


class Lines:
    """An encoder that writes one frame for each event."""

    def encode(self, event: AnyEvent) -> bytes:
        match event:
            case TextDelta():
                return f"data: {event.text}\n\n".encode()
            case Finish():
                return b"data: [DONE]\n\n"
        return b""

    def encode_error(self, error: GatewayError) -> bytes:
        return f"data: error {error.code}\n\n".encode()


class App:
    """Streams what `make` yields; notes whether the source was closed and what the stream said."""

    def __init__(self, make: Callable[[], Events], **options: object) -> None:
        self.make = make
        self.options = options
        self.closed = asyncio.Event()
        self.stream: EventStream | None = None
        self.error: GatewayError | None = None

    async def __call__(self, scope, receive, send) -> None:
        await receive()
        self.stream = EventStream(self.source(), Lines(), **self.options)
        try:
            self.error = await self.stream.respond(receive, send)
        except GatewayError as error:
            await send_body(send, error.status, error.code.encode())

    async def source(self) -> Events:
        try:
            async with aclosing(self.make()) as events:
                async for event in events:
                    yield event
        finally:
            self.closed.set()


async def words(*texts: str) -> Events:
    for text in texts:
        yield TextDelta(text)
    yield Finish()


async def get(app: App) -> httpx.Response:
    async with serving(app) as url, httpx.AsyncClient() as client:
        return await client.get(url)


async def test_a_whole_stream_ends_with_its_end_marker() -> None:
    app = App(lambda: words("a", "b"))
    answer = await get(app)
    assert answer.text == "data: a\n\ndata: b\n\ndata: [DONE]\n\n"
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert app.error is None


async def test_an_error_before_the_first_event_keeps_its_status() -> None:
    async def refused() -> Events:
        raise RateLimited("daily limit")
        yield

    answer = await get(App(refused))
    assert (answer.status_code, answer.text) == (429, "rate_limited")


async def test_an_error_after_the_first_event_is_one_frame_and_no_end_marker() -> None:
    async def cut() -> Events:
        yield TextDelta("a")
        await asyncio.sleep(0.01)
        raise UpstreamUnavailable("gone")

    app = App(cut)
    answer = await get(app)
    assert (answer.status_code, answer.text) == (200, "data: a\n\ndata: error upstream_error\n\n")
    assert app.error is not None


async def test_an_unexpected_fault_is_a_frame_without_its_text() -> None:
    async def broken() -> Events:
        yield TextDelta("a")
        await asyncio.sleep(0.01)
        raise RuntimeError("sk-secret")

    answer = await get(App(broken))
    assert answer.text == "data: a\n\ndata: error internal_error\n\n"


async def test_an_end_without_a_finish_is_an_error() -> None:
    async def unfinished() -> Events:
        yield TextDelta("a")

    answer = await get(App(unfinished))
    assert answer.text.endswith("data: error upstream_error\n\n")


async def test_silence_is_pinged_and_headers_do_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.web.event_stream._PRIME_SECONDS", 0.05)

    async def slow() -> Events:
        await asyncio.sleep(0.4)
        yield TextDelta("late")
        yield Finish()

    answer = await get(App(slow, ping=0.1))
    assert answer.text.startswith(": keep-alive\n\n")
    assert answer.text.endswith("data: late\n\ndata: [DONE]\n\n")


async def test_an_error_after_priming_gave_up_is_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.web.event_stream._PRIME_SECONDS", 0.05)

    async def slow() -> Events:
        await asyncio.sleep(0.4)
        raise RateLimited("late")
        yield

    answer = await get(App(slow))
    assert (answer.status_code, answer.text) == (200, "data: error rate_limited\n\n")


async def test_events_that_came_together_leave_in_one_write() -> None:
    bodies: list[bytes] = []

    async def send(message) -> None:
        if message["type"] == "http.response.body":
            bodies.append(message["body"])

    async def receive():
        await asyncio.Event().wait()

    await EventStream(words("a", "b", "c"), Lines()).respond(receive, send)
    assert bodies == [b"data: a\n\ndata: b\n\ndata: c\n\ndata: [DONE]\n\n", b""]


@pytest.mark.parametrize("after", [0, 1, 3])
async def test_a_client_that_leaves_closes_the_source(after: int) -> None:
    async def endless() -> Events:
        for number in range(after):
            yield TextDelta(str(number))
        await asyncio.sleep(60)
        yield Finish()

    app = App(endless)
    async with serving(app) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        if after:
            await reader.readuntil(str(after - 1).encode())
        else:
            await asyncio.sleep(0.05)
        writer.close()
        await asyncio.wait_for(app.closed.wait(), 1.0)
    assert app.stream is not None
    assert app.stream.client_gone


async def test_a_source_that_never_waits_starves_nobody_and_ends_with_its_client() -> None:
    async def flood() -> Events:
        while True:
            yield TextDelta("x" * 1000)

    app = App(flood)
    async with serving(app) as url:
        _, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.sleep(0.2)
        writer.transport.abort()
        await asyncio.wait_for(app.closed.wait(), 1.0)


async def test_a_slow_client_makes_the_source_wait() -> None:
    made = 0

    async def flood() -> Events:
        nonlocal made
        while True:
            made += 1
            yield TextDelta("x" * 10_000)

    app = App(flood)
    async with serving(app) as url:
        _, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        writer.transport.pause_reading()
        await asyncio.sleep(0.5)
        settled = made
        await asyncio.sleep(0.3)
        assert made == settled
        writer.transport.abort()
        await asyncio.wait_for(app.closed.wait(), 1.0)


async def test_drain_reads_on_to_the_end_without_its_client() -> None:
    finished = asyncio.Event()

    async def slow() -> Events:
        yield TextDelta("a")
        await asyncio.sleep(0.2)
        yield TextDelta("b")
        yield Finish()
        finished.set()

    app = App(slow, drain=True)
    async with serving(app) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"data: a")
        writer.close()
        await asyncio.wait_for(finished.wait(), 1.0)
        await asyncio.wait_for(app.closed.wait(), 1.0)


async def test_an_abort_from_outside_is_the_last_frame() -> None:
    begun = asyncio.Event()

    async def slow() -> Events:
        yield TextDelta("a")
        begun.set()
        await asyncio.sleep(60)

    app = App(slow)

    async def abort_soon() -> None:
        await begun.wait()
        await asyncio.sleep(0.05)
        assert app.stream is not None
        app.stream.abort(UpstreamUnavailable("shutting down", code="server_draining"))

    task = asyncio.get_running_loop().create_task(abort_soon())
    answer = await get(app)
    await task
    assert answer.text == "data: a\n\ndata: error server_draining\n\n"
    assert app.closed.is_set()


class SlowClient:
    """Takes nothing until `reads` is set; `bodies` is what it has taken."""

    def __init__(self) -> None:
        self.reads = asyncio.Event()
        self.bodies: list[bytes] = []

    async def send(self, message) -> None:
        await self.reads.wait()
        if message["type"] == "http.response.body":
            self.bodies.append(message["body"])

    async def receive(self):
        await asyncio.Event().wait()


@pytest.mark.parametrize("drain", [False, True])
async def test_an_abort_loses_nothing_of_what_a_slow_client_is_still_to_take(drain: bool) -> None:
    async def flood() -> Events:
        for letter in "abc":
            yield TextDelta(letter * 70_000)

    client = SlowClient()
    stream = EventStream(flood(), Lines(), drain=drain)
    answer = asyncio.create_task(stream.respond(client.receive, client.send))
    await asyncio.sleep(0.05)
    stream.abort(UpstreamUnavailable("shutting down", code="server_draining"))
    await asyncio.sleep(0.05)
    client.reads.set()
    error = await answer
    assert error is not None
    assert error.code == "server_draining"
    sent = b"".join(client.bodies)
    assert sent == b"data: " + b"a" * 70_000 + b"\n\ndata: error server_draining\n\n"


async def test_a_slow_client_gets_every_frame_once_and_in_order() -> None:
    async def steady() -> Events:
        for number in range(20):
            yield TextDelta(str(number))
            await asyncio.sleep(0.002)
        yield Finish()

    client = SlowClient()
    answer = asyncio.create_task(EventStream(steady(), Lines(), ping=60).respond(client.receive, client.send))
    await asyncio.sleep(0.02)
    client.reads.set()
    assert await answer is None
    expected = [f"data: {number}\n\n".encode() for number in range(20)]
    assert b"".join(client.bodies) == b"".join(expected) + b"data: [DONE]\n\n"


@pytest.mark.parametrize("slow", [False, True])
async def test_a_write_that_fails_ends_the_source_and_is_raised(slow: bool) -> None:
    app = App(lambda: endless())

    async def endless() -> Events:
        yield TextDelta("a")
        await asyncio.sleep(60)

    async def send(message) -> None:
        if slow:
            await asyncio.sleep(0.01)
        raise OSError("broken pipe")

    stream = EventStream(app.source(), Lines())
    with pytest.raises(OSError, match="broken pipe"):
        await asyncio.wait_for(stream.respond(SlowClient().receive, send), 1.0)
    assert app.closed.is_set()


async def test_who_cancels_the_answer_is_not_mistaken_for_a_client_that_left() -> None:
    app = App(lambda: endless())

    async def endless() -> Events:
        yield TextDelta("a")
        await asyncio.sleep(60)

    stream = EventStream(app.source(), Lines())
    client = SlowClient()
    answer = asyncio.create_task(stream.respond(client.receive, client.send))
    await asyncio.sleep(0.02)
    stream.abort(UpstreamUnavailable("shutting down"))
    answer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answer
    assert app.closed.is_set()


async def test_a_source_that_answers_its_cancellation_with_an_error_is_heard_once() -> None:
    async def stubborn() -> Events:
        yield TextDelta("a")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise UpstreamUnavailable("closing") from None

    client = SlowClient()
    client.reads.set()
    stream = EventStream(stubborn(), Lines())
    answer = asyncio.create_task(stream.respond(client.receive, client.send))
    await asyncio.sleep(0.02)
    stream.abort(UpstreamUnavailable("shutting down", code="server_draining"))
    error = await answer
    assert error is not None
    assert error.code == "server_draining"
    assert b"".join(client.bodies) == b"data: a\n\ndata: error server_draining\n\n"
    assert not answer.cancelled()


async def test_nothing_follows_the_frame_of_an_abort() -> None:
    async def lively() -> Events:
        while True:
            yield TextDelta("a")
            await asyncio.sleep(0)

    client = SlowClient()
    stream = EventStream(lively(), Lines())
    answer = asyncio.create_task(stream.respond(client.receive, client.send))
    await asyncio.sleep(0.005)
    stream.abort(UpstreamUnavailable("shutting down", code="server_draining"))
    await asyncio.sleep(0.005)
    client.reads.set()
    await answer
    assert b"".join(client.bodies).endswith(b"data: error server_draining\n\n")


async def test_a_stream_that_is_aborted_before_it_begins_keeps_its_status() -> None:
    stream = EventStream(words("a"), Lines())
    stream.abort(UpstreamUnavailable("shutting down", code="server_draining"))
    client = SlowClient()
    with pytest.raises(UpstreamUnavailable):
        await stream.respond(client.receive, client.send)


async def test_a_watched_stream_leaves_nothing_to_the_garbage_collector(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.web.event_stream._WATCH_AFTER", 0.005)

    async def slow() -> Events:
        await asyncio.sleep(0.02)
        yield Finish()

    client = SlowClient()
    client.reads.set()
    stream = EventStream(slow(), Lines())
    gc.disable()
    try:
        await stream.respond(client.receive, client.send)
        await asyncio.sleep(0)
        remains = weakref.ref(stream)
        del stream
        assert remains() is None
    finally:
        gc.enable()
