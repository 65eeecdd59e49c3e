"""Server-sent events as providers send them, decoded from bytes.

Lines end at CR, LF or CRLF and nowhere else: U+2028 and U+0085 are text. Unlike a browser, the decoder
delivers a last frame that no blank line ends; whether the stream may end there is the provider's business.
"""

from collections.abc import AsyncGenerator, AsyncIterable

import msgspec

from gateway.generation.errors import InvalidAnswer

__all__ = ["EventDecoder", "ServerSentEvent", "read_events"]

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class ServerSentEvent(msgspec.Struct, frozen=True, gc=False):
    """One frame: its data lines joined by LF, and its name ("" when it has none)."""

    data: bytes
    event: str = ""


class EventDecoder:
    """Takes bytes as they come and gives whole events back; how the bytes were cut makes no difference.

    Args:
        max_frame: bytes of one frame, and so of one line, that are accepted.
    """

    __slots__ = ("_after_cr", "_held", "_held_size", "_max_frame", "_started")

    def __init__(self, max_frame: int = 2**20) -> None:
        self._max_frame = max_frame
        self._held: list[bytes] = []
        self._held_size = 0
        self._after_cr = False
        self._started = False

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Return the events that `data` completes. Raises `InvalidAnswer` for a frame over the cap."""
        if data and (self._after_cr or b"\r" in data):
            data = self._with_line_feeds(data)
        if (events := self._decode_plain(data)) is not None:
            return events
        if b"\n\n" not in data and not self._blank_line_spans(data):
            self._hold(data)
            return []
        frames = self._take_with(data).split(b"\n\n")
        self._hold(frames.pop())
        return self._decode(frames)

    def close(self) -> list[ServerSentEvent]:
        """Return the last event if nothing ended its frame."""
        return self._decode([self._take_with(b"").removesuffix(b"\n")])

    def _with_line_feeds(self, data: bytes) -> bytes:
        """End a line at its CR at once; an LF that follows, here or in the next piece, belongs to it."""
        if self._after_cr:
            data = data.removeprefix(b"\n")
        self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _blank_line_spans(self, data: bytes) -> bool:
        return bool(self._held) and data.startswith(b"\n") and self._held[-1].endswith(b"\n")

    def _hold(self, data: bytes) -> None:
        """Keep the beginning of a frame in pieces: joining at every read would be quadratic."""
        if not data:
            return
        self._held.append(data)
        self._held_size += len(data)
        # Grace for what will not count: a byte order mark, and the first LF of the frame's blank line.
        if self._held_size > self._max_frame + len(_BYTE_ORDER_MARK) + 1:
            raise self._too_long()

    def _take_with(self, data: bytes) -> bytes:
        if self._held:
            data = b"".join((*self._held, data))
            self._held.clear()
            self._held_size = 0
        if not self._started:
            self._started = True
            data = data.removeprefix(_BYTE_ORDER_MARK)
        return data

    def _decode_plain(self, data: bytes) -> list[ServerSentEvent] | None:
        """Read what nearly every read brings, whole frames of one data line each; None for anything else."""
        if not data.startswith(b"data: ") or not data.endswith(b"\n\n"):
            return None
        if self._held or len(data) > self._max_frame:
            return None
        lines = data[6:-2].split(b"\n\ndata: ")
        if data.count(b"\n") != 2 * len(lines):
            return None
        self._started = True
        return list(map(ServerSentEvent, lines))

    def _decode(self, frames: list[bytes]) -> list[ServerSentEvent]:
        events = []
        for frame in frames:
            if len(frame) > self._max_frame:
                raise self._too_long()
            if frame.startswith(b"data: ") and b"\n" not in frame:
                events.append(ServerSentEvent(frame[6:]))
            elif (event := self._decode_lines(frame)) is not None:
                events.append(event)
        return events

    def _decode_lines(self, frame: bytes) -> ServerSentEvent | None:
        """Read a frame by the standard's rules; `id`, `retry` and unknown fields mean nothing here."""
        data: list[bytes] = []
        name = b""
        for line in frame.split(b"\n"):
            field, _, value = line.partition(b":")
            if field == b"data":
                data.append(value.removeprefix(b" "))
            elif field == b"event":
                name = value.removeprefix(b" ")
        return ServerSentEvent(b"\n".join(data), name.decode("utf-8", "replace")) if data else None

    def _too_long(self) -> InvalidAnswer:
        return InvalidAnswer(f"The provider sent an event of more than {self._max_frame} bytes.", sent=True)


async def read_events(
    chunks: AsyncIterable[bytes], max_frame: int = 2**20
) -> AsyncGenerator[list[ServerSentEvent], None]:
    """Yield what each read of an answer's body completes, never an empty list: one wake-up, one batch."""
    decoder = EventDecoder(max_frame)
    async for data in chunks:
        if events := decoder.feed(data):
            yield events
    if events := decoder.close():
        yield events
