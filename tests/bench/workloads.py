"""What is asked of every contestant, as data."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from tests.bench.contestants import Wire
from tests.bench.machine import file_limit
from tests.bench.tools import MockOptions

__all__ = ["VideoLoad", "Workload", "answers", "catalogue", "chosen", "slow_streams"]

Unit = Literal["request", "chunk", "stream", "start", "lease", "video"]

_CHAT = '{"model":"bench","messages":[{"role":"user","content":"Say something of a kilobyte."}]}'
_STREAM = '{"model":"bench","stream":true,"messages":[{"role":"user","content":"Say it slowly."}]}'
_NATIVE = '{"model":"bench","message":"Say something."}'
_IMAGE = '{"model":"bench","prompt":"A square of two megabytes.","n":1,"response_format":"b64_json"}'
_VIDEO = '{"model":"bench","message":"A video.","chatType":"t2v","stream":true}'

_IDLE_INTERVAL_MS = 20_000


class VideoLoad(msgspec.Struct, frozen=True, kw_only=True):
    """Videos that are ordered at once; each takes between `shortest` and `longest` seconds.

    `budget` is the polls a second that each account allows; one gateway keeps its state in SQLite, several
    share a Valkey server.
    """

    count: int
    accounts: int
    replicas: int
    shortest: float = 20.0
    longest: float = 60.0
    budget: int = 20


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of load; `load` holds options of the load generator, `{task}` in a path is a task's id.

    `hold` keeps the streams open for a moment once all have begun, then ends the load.
    """

    name: str
    title: str
    unit: Unit = "request"
    wire: Wire = "chat"
    method: str = "POST"
    path: str = "/v1/chat/completions"
    body: str = _CHAT
    mock: MockOptions = MockOptions()
    load: Mapping[str, str | float] = {}
    hold: bool = False
    videos: VideoLoad | None = None


def catalogue(*, quick: bool = False) -> tuple[Workload, ...]:
    """All workloads, or short forms of those that show the most."""
    seconds = 1.0 if quick else 5.0
    short = (
        answers(seconds),
        _w2(seconds),
        slow_streams(1_000, 100, 2.0 if quick else 10.0),
        *(_w4(rate, 2.0 if quick else 10.0) for rate in ((50,) if quick else (10, 50))),
    )
    if quick:
        few = VideoLoad(count=100, accounts=8, replicas=1, shortest=3.0, longest=6.0)
        several = msgspec.structs.replace(few, replicas=3)
        return (*short, _w9(), _w10(), _videos("W12-8", few), _videos("W13-8", several))
    return (
        *short[:3],
        slow_streams(5_000, 500, 10.0),
        *short[3:],
        _w5(seconds),
        _w6(seconds),
        _w7(),
        _w8(seconds),
        _w9(),
        _w10(),
        _w11(),
        *(_videos(f"W12-{n}", VideoLoad(count=1_000, accounts=n, replicas=1)) for n in (8, 1)),
        *(_videos(f"W13-{n}", VideoLoad(count=1_000, accounts=n, replicas=3)) for n in (8, 1)),
    )


def chosen(workloads: tuple[Workload, ...], names: tuple[str, ...]) -> tuple[Workload, ...]:
    """Those whose name, or the part before the dash, is in `names`; all when there are no names."""
    wanted = {name.upper() for name in names}
    return tuple(w for w in workloads if not wanted or {w.name, w.name.split("-")[0]} & wanted)


def answers(seconds: float) -> Workload:
    """W1: answers of one kilobyte in a closed loop."""
    return Workload(
        name="W1",
        title="answers of 1 KB, 64 clients",
        load={
            "clients": 64,
            "seconds": seconds,
            "warmup": seconds / 5,
            "marks": 1,
            "min_bytes": 1024,
            "expect": "end-of-answer",
        },
    )


def _w2(seconds: float) -> Workload:
    return Workload(
        name="W2",
        title="streams of 100 chunks back to back, 32 at once",
        unit="chunk",
        body=_STREAM,
        load={"clients": 32, "seconds": seconds, "warmup": seconds / 5, "marks": 100, "expect": "[DONE]"},
    )


def slow_streams(streams: int, interval_ms: int, seconds: float) -> Workload:
    """W3: many streams at once, each with a chunk at every interval."""
    chunks = int(seconds * 1000) // interval_ms
    ramp = streams / 1000
    return Workload(
        name=f"W3-{streams}",
        title=f"{streams:,} slow streams, a chunk every {interval_ms} ms",
        unit="chunk",
        body=_STREAM,
        mock=MockOptions(chunks=chunks, interval_ms=interval_ms),
        load={
            "clients": streams,
            "once": 1,
            "ramp": ramp,
            "warmup": ramp,
            "seconds": seconds,
            "grace": 1,
            "marks": chunks,
            "expect": "[DONE]",
        },
    )


def _w4(rate: int, seconds: float) -> Workload:
    return Workload(
        name=f"W4-{rate}",
        title=f"latency at {rate} requests a second, open loop",
        load={
            "clients": 64,
            "rate": rate,
            "seconds": seconds,
            "warmup": 0.5,
            "marks": 1,
            "min_bytes": 1024,
            "expect": "end-of-answer",
        },
    )


def _w5(seconds: float) -> Workload:
    return Workload(
        name="W5",
        title="native text over the Qwen wire (two calls upstream), 32 clients",
        wire="native",
        path="/api/chat",
        body=_NATIVE,
        mock=MockOptions(chunks=20),
        load={"clients": 32, "seconds": seconds, "warmup": seconds / 5, "expect": "end-of-answer"},
    )


def _w6(seconds: float) -> Workload:
    return Workload(
        name="W6",
        title="images of 2 MB as base64, 8 clients",
        wire="images",
        path="/v1/images/generations",
        body=_IMAGE,
        load={
            "clients": 8,
            "seconds": seconds,
            "warmup": seconds / 5,
            "min_bytes": 2 << 20,
            "expect": "YmVuY2gtZW5k",
        },
    )


def _w7() -> Workload:
    """A proxy needs two files for each stream, and some for itself."""
    streams = min(10_000, file_limit() // 2 - 100)
    return Workload(
        name="W7",
        title=f"{streams:,} idle streams (of 10,000; the file limit is {file_limit():,})",
        unit="stream",
        body=_STREAM,
        mock=MockOptions(chunks=1000, interval_ms=_IDLE_INTERVAL_MS),
        load={"clients": streams, "once": 1, "ramp": streams / 1000, "seconds": 60},
        hold=True,
    )


def _w8(seconds: float) -> Workload:
    return Workload(
        name="W8",
        title="task status polls, 32 clients",
        wire="native",
        method="GET",
        path="/api/tasks/status/{task}",
        body="",
        load={"clients": 32, "seconds": seconds, "warmup": seconds / 5, "expect": "task_status"},
    )


def _w9() -> Workload:
    return Workload(name="W9", title="start-up, idle memory, --help", unit="start")


def _w10() -> Workload:
    return Workload(name="W10", title="borrowing an account and giving it back", unit="lease")


def _w11() -> Workload:
    waiters = 1_000
    return Workload(
        name="W11",
        title=f"{waiters:,} clients that wait for a video each",
        unit="stream",
        wire="videos",
        path="/api/chat",
        body=_VIDEO,
        load={"clients": waiters, "once": 1, "ramp": 10, "seconds": 60},
        hold=True,
    )


def _videos(name: str, videos: VideoLoad) -> Workload:
    """W12 on SQLite, W13 on Valkey."""
    where = "one process on SQLite" if videos.replicas == 1 else f"{videos.replicas} processes on Valkey"
    accounts = "one account" if videos.accounts == 1 else f"{videos.accounts} accounts"
    return Workload(
        name=name, title=f"{videos.count:,} videos over {accounts}, {where}", unit="video", videos=videos
    )
