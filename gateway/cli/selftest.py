"""`gateway selftest`: the guide's two test scripts, against any running gateway."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
import rich_click as click

from gateway.cli.options import as_json, to_gateway
from gateway.cli.printing import print_json, print_table, progress, say
from gateway.cli.problems import NO, Problem

if TYPE_CHECKING:
    from gateway.cli.remote import Remote

__all__ = ["selftest"]

Tell = Callable[[str], None]
"""Shows what is going on now."""

_PICTURES: Final = {"PNG": (0, b"\x89PNG\r\n\x1a\n"), "JPEG": (0, b"\xff\xd8\xff"), "WebP": (8, b"WEBP")}
_FILMS: Final = {"MP4": (4, b"ftyp")}
_POLL_SECONDS: Final = 2.0
_POLLS: Final = 90
_FILM_SECONDS: Final = 200.0
_PICTURE_SECONDS: Final = 120.0

model_option = click.option("--model", help="The model to ask for; else the gateway's default.")


class Outcome(msgspec.Struct, frozen=True):
    """How one test ended: `problem` is "" when it passed."""

    test: str
    seconds: float
    found: str
    problem: str


@click.group()
def selftest() -> None:
    """Prove a running gateway, end to end: real requests, real downloads."""


@selftest.command()
@model_option
@as_json
@to_gateway
def features(gateway: "Remote", model: str | None, as_json: bool) -> None:
    """Test all three generation types: chat, image, video."""
    named = {"model": model} if model else {}
    outcomes = [
        _attempt("chat", lambda tell: _chat(gateway, named)),
        _attempt("image", lambda tell: _image(gateway, named)),
        _attempt("video", lambda tell: _wait_for_video(gateway, named)),
    ]
    _report(outcomes, "all three generation types work", as_json=as_json)


@selftest.command("video-polling")
@model_option
@as_json
@to_gateway
def video_polling(gateway: "Remote", model: str | None, as_json: bool) -> None:
    """Compare a video that the gateway waits for with one that the client polls for."""
    named = {"model": model} if model else {}
    outcomes = [
        _attempt("server-side polling", lambda tell: _wait_for_video(gateway, named)),
        _attempt("client-side polling", lambda tell: _poll_for_video(gateway, named, tell)),
    ]
    _report(outcomes, "both ways of polling work", as_json=as_json)


def _attempt(test: str, run: Callable[[Tell], str]) -> Outcome:
    started = time.monotonic()
    found, problem = "", ""
    with progress(test) as tell:
        try:
            found = run(tell)
        except Problem as error:
            problem = str(error)
    return Outcome(test, round(time.monotonic() - started, 3), found, problem)


def _chat(gateway: "Remote", named: dict[str, str]) -> str:
    text = _content(gateway.post("/api/chat", {"message": "Say hello in one sentence.", **named}, seconds=90))
    if not text.strip():
        raise Problem("the answer is empty")
    return f"{text.strip()[:50]!r}"


def _image(gateway: "Remote", named: dict[str, str]) -> str:
    body = {"message": "A sunset over the ocean with purple clouds", "chatType": "t2i", "size": "16:9"}
    answer = gateway.post("/api/chat", body | named, seconds=_PICTURE_SECONDS)
    return _download(gateway, _content(answer).partition("\n")[0], _PICTURES)


def _wait_for_video(gateway: "Remote", named: dict[str, str]) -> str:
    body = {"message": "A calm ocean with gentle waves at sunset", "chatType": "t2v", "size": "16:9"}
    answer = gateway.post("/api/chat", body | named, seconds=_FILM_SECONDS)
    return f"{_download(gateway, answer.get('video_url') or _content(answer), _FILMS)}, 1 request"


def _poll_for_video(gateway: "Remote", named: dict[str, str], tell: Tell) -> str:
    body = {"message": "A serene forest with sunlight through trees", "chatType": "t2v", "size": "16:9"}
    started = time.monotonic()
    task = gateway.post("/api/chat", body | named | {"waitForCompletion": False})["task_id"]
    accepted = time.monotonic() - started
    for attempt in range(1, _POLLS + 1):
        time.sleep(_POLL_SECONDS)
        state = gateway.get(f"/api/tasks/status/{task}")
        tell(f"attempt {attempt}: {state['task_status']}")
        if state["task_status"] == "failed":
            raise Problem(f"task {task} failed: {state['error']}")
        if state["task_status"] == "completed":
            film = _download(gateway, state["content"], _FILMS)
            return f"{film}, {attempt + 1} requests, the task's id after {accepted:.2f} s"
    raise Problem(f"task {task} was not finished after {_POLLS} attempts")


def _content(answer: Any) -> str:
    match answer:
        case {"choices": [{"message": {"content": str(content)}}, *_]}:
            return content
    raise Problem(f"not the answer that the guide shows: {str(answer)[:200]}")


def _download(gateway: "Remote", url: str, formats: dict[str, tuple[int, bytes]]) -> str:
    """Return what lies at an address, which must be one of the formats."""
    data = gateway.download(url)
    for name, (at, magic) in formats.items():
        if data[at : at + len(magic)] == magic:
            return f"{name} of {len(data) // 1024} kB"
    raise Problem(f"what was downloaded is no {' or '.join(formats)}: it begins with {data[:12]!r}")


def _row(one: Outcome) -> Sequence[str]:
    word = "failed" if one.problem else "passed"
    return word, one.test, f"{one.seconds:.1f} s", one.problem or one.found


def _report(outcomes: Sequence[Outcome], verdict: str, *, as_json: bool) -> None:
    """Print how the tests ended. Raises `Problem` unless all have passed."""
    if as_json:
        print_json(outcomes)
    else:
        print_table(("", "test", "time", "what came back"), map(_row, outcomes))
    failed = sum(bool(one.problem) for one in outcomes)
    if failed:
        raise Problem(f"{failed} of {len(outcomes)} tests failed", NO)
    say(f"\n{verdict}")
