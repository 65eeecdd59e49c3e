"""Many videos in flight: how soon their ends are seen, and whether the provider's budget is kept.

The gateways are what their operators run: one process on SQLite, or several over one Valkey server, the
provider in a process of its own. An end is visible from the moment at which the gateway has stored it.
"""

import asyncio
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from subprocess import Popen

import httpx
import msgspec

from tests.bench.contestants import Running, await_answer
from tests.bench.films import Evidence, FilmProvider, film_provider
from tests.bench.gateway import COMMAND, KEY
from tests.bench.machine import CONTESTANT_CORE, FOLDER, HARNESS_CORE, cpu_seconds, free_port, spawn, stopping
from tests.bench.measure import Sample
from tests.bench.tools import LoadResult, MockOptions, load_argv, mock_server, read_result
from tests.bench.workloads import VideoLoad, Workload
from tests.state.valkey_process import ALWAYS, ValkeyProcess

__all__ = ["measure_videos"]

_CONFIG = """
[[auth.keys]]
name = "bench"
key = "{key}"
[state]
url = "{state}"
[routes]
t2t = ["local"]
t2v = ["films"]
[models]
default = "bench"
[tasks]
polls_per_second = {budget}
[log]
format = "json"
[upstreams.local]
kind = "openai_compatible"
base_url = "http://127.0.0.1:{mock_port}/v1"
chat_types = ["t2t"]
accounts = [{{ id = "local", api_key = "key" }}]
[upstreams.films]
kind = "qwen_chat"
base_url = "http://127.0.0.1:{films_port}"
accounts = [{accounts}]
"""
_CHAT = '{"model":"bench","messages":[{"role":"user","content":"Say something of a kilobyte."}]}'
_CHATS_PER_SECOND = 20
_SUBMITS_AT_ONCE = 16
_PATIENCE = 240.0


class _End(msgspec.Struct, frozen=True):
    """A line of a gateway's log, as far as it tells of a task."""

    event: str
    timestamp: str
    task_id: str | None = None
    state: str = ""


def measure_videos(workload: Workload) -> Sample:
    """Order all videos, chat meanwhile, and see every one to its end."""
    videos = workload.videos
    assert videos is not None
    with ExitStack() as stack:
        films = stack.enter_context(film_provider(videos.shortest, videos.longest))
        gateways = stack.enter_context(_gateways(workload.name, videos, films))
        before = sum(cpu_seconds(gateway.pid or 0) for gateway in gateways)
        ordered = asyncio.run(_order_all(gateways, videos.count))
        with _chatting(gateways, videos.longest) as loads:
            ends = _await_ends(workload.name, videos)
            chats = [read_result(load.communicate()[0]) for load in loads]
        used = sum(cpu_seconds(gateway.pid or 0) for gateway in gateways) - before
        evidence = films.evidence()
    delays = [ends[task] - evidence.ready[film] for film, task in ordered.items()]
    return Sample(
        contestant="gateway",
        workload=workload.name,
        seen=_seen(videos, delays, evidence) | _chat_seen(chats) | {"cpu_ms_each": used / videos.count * 1e3},
    )


def _seen(videos: VideoLoad, delays: Sequence[float], evidence: Evidence) -> dict[str, float]:
    round_seconds = videos.count / videos.accounts / videos.budget
    hundredths = statistics.quantiles(delays, n=100)
    return {
        "visible_p50_s": hundredths[49],
        "visible_p99_s": hundredths[98],
        "visible_p99_rounds": hundredths[98] / round_seconds,
        "polls_each": len(evidence.polls) / videos.count,
        "polls_busiest": evidence.busiest_second(),
        "poll_again_s": evidence.quickest_return(),
    }


def _chat_seen(loads: Sequence[LoadResult]) -> dict[str, float]:
    slowest = max(load.latency.p99 for load in loads if load.latency)
    return {"chat_p99_ms": slowest / 1e3, "chat_errors": sum(load.errors for load in loads)}


@contextmanager
def _gateways(label: str, videos: VideoLoad, films: FilmProvider) -> Iterator[Sequence[Running]]:
    with ExitStack() as stack:
        mock = stack.enter_context(mock_server(MockOptions()))
        state = stack.enter_context(_valkey(label)) if videos.replicas > 1 else "sqlite:///gateway.db"
        config = _CONFIG.format(
            key=KEY,
            state=state,
            budget=videos.budget,
            mock_port=mock.port,
            films_port=films.port,
            accounts=", ".join(f'{{ id = "a{n}", token = "token-{n}" }}' for n in range(videos.accounts)),
        )
        rooms = [_room(label, number) for number in range(videos.replicas)]
        yield [stack.enter_context(_gateway(room, config)) for room in rooms]


@contextmanager
def _valkey(label: str) -> Iterator[str]:
    folder = FOLDER / "run" / label / "valkey"
    folder.parent.mkdir(parents=True, exist_ok=True)
    server = ValkeyProcess(folder, **ALWAYS)
    try:
        server.ask("FLUSHALL")
        yield server.url
    finally:
        server.kill()


def _room(label: str, number: int) -> Path:
    room = FOLDER / "run" / label / f"gateway-{number}"
    room.mkdir(parents=True, exist_ok=True)
    for remains in [*room.glob("gateway.db*"), *room.glob("log")]:
        remains.unlink()
    return room


@contextmanager
def _gateway(room: Path, config: str) -> Iterator[Running]:
    (room / "gateway.toml").write_text(config)
    port, started = free_port(), time.monotonic()
    headers = (f"authorization: Bearer {KEY}",)
    argv: list[str | Path] = [
        COMMAND,
        "serve",
        "--config",
        "gateway.toml",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    process = spawn(argv, CONTESTANT_CORE, log=room / "log", cwd=room)
    with stopping(process):
        await_answer(process, port, headers, room / "log")
        yield Running("gateway", port, headers, process.pid, time.monotonic() - started)


async def _order_all(gateways: Sequence[Running], count: int) -> Mapping[str, str]:
    """Order films without waiting for them; return our task ids by the films' titles."""
    numbers = iter(range(count))
    ordered: dict[str, str] = {}
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {KEY}"}, timeout=60) as client:

        async def order_more() -> None:
            for number in numbers:
                url = f"http://127.0.0.1:{gateways[number % len(gateways)].port}/api/chat"
                film = f"film-{number}"
                body = {"message": film, "model": "bench", "chatType": "t2v", "waitForCompletion": False}
                answer = await client.post(url, json=body)
                ordered[film] = answer.raise_for_status().json()["task_id"]

        await asyncio.gather(*(order_more() for _ in range(_SUBMITS_AT_ONCE)))
    return ordered


@contextmanager
def _chatting(gateways: Sequence[Running], seconds: float) -> Iterator[Sequence[Popen[bytes]]]:
    """Ask every gateway for texts at a steady rate until the last film is ready."""
    rate = _CHATS_PER_SECOND / len(gateways)
    with ExitStack() as stack:
        loads = [
            spawn(_chat_argv(gateway, rate, seconds), HARNESS_CORE, stdout=subprocess.PIPE)
            for gateway in gateways
        ]
        yield [stack.enter_context(stopping(load)) for load in loads]


def _chat_argv(gateway: Running, rate: float, seconds: float) -> Sequence[str | Path]:
    return load_argv(
        gateway.port,
        gateway.headers,
        path="/v1/chat/completions",
        body=_CHAT,
        clients=16,
        rate=rate,
        seconds=seconds,
        marks=1,
        expect="end-of-answer",
    )


def _await_ends(label: str, videos: VideoLoad) -> Mapping[str, float]:
    """Return when each task's end was stored, by the gateways' own logs."""
    deadline = time.monotonic() + videos.longest + _PATIENCE
    ends: dict[str, float] = {}
    while len(ends) < videos.count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"only {len(ends)} of {videos.count} videos came to an end")
        time.sleep(2)
        for log in (FOLDER / "run" / label).glob("gateway-*/log"):
            ends |= _ends_in(log)
    return ends


def _ends_in(log: Path) -> Mapping[str, float]:
    lines = (
        line for line in log.read_bytes().splitlines() if b'"event":"task"' in line and line.endswith(b"}")
    )
    entries = (msgspec.json.decode(line, type=_End) for line in lines)
    return {
        str(entry.task_id): datetime.fromisoformat(entry.timestamp).timestamp()
        for entry in entries
        if entry.state == "completed"
    }
