"""The guide's own snippets, taken from its text and run as a reader would run them."""

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.process import FAST_SANDBOX, Running, running

GUIDE = (Path(__file__).parents[2] / "docs" / "guide.md").read_text("utf-8")
PORT = 3264
SNIPPETS = re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
JAVASCRIPT = [text for language, text in SNIPPETS if language == "javascript"]
SHELL = [text for language, text in SNIPPETS if language == "bash" and "curl" in text]
POWERSHELL = [text for language, text in SNIPPETS if language == "powershell"]
ANSWERS = [json.loads(text) for language, text in SNIPPETS if language == "json"]
IMAGE_ANSWER, VIDEO_ANSWER = (answer for answer in ANSWERS if "choices" in answer)

FILE = r"http://localhost:\d+/media/[0-9a-f]{32}\."
PRINTED = {
    "image.mjs": rf"Generated Image: ({FILE}png)\n",
    "video.mjs": rf"Generated Video: ({FILE}mp4)\n",
    "video_task.mjs": (
        r"Task created: [^\n]+\n(?:Attempt \d+: processing\n)*Attempt \d+: completed\n"
        rf"Video ready: ({FILE}mp4)\n"
    ),
    "image.sh": r"(\{.*\})",
    "video.sh": r"(\{.*\})",
    "video_task.sh": r"Task ID: [^\n]+\n(?:Status: processing\n)*(Status: completed)\n",
}
"""What each snippet prints, whole; the order is the guide's."""


def test_the_guide_has_the_snippets_that_are_run_here() -> None:
    assert [len(JAVASCRIPT), len(SHELL), len(POWERSHELL)] == [3, 3, 1]


def scripts() -> dict[str, str]:
    return dict(zip(PRINTED, [*JAVASCRIPT, *SHELL], strict=True))


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("gateway"), FAST_SANDBOX) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway that nobody configured, on the guide's port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", PORT))
        except OSError:
            pytest.skip(f"port {PORT} is taken")
    with running(tmp_path_factory.mktemp("first_run"), "", port=PORT) as gateway:
        yield gateway


@pytest.mark.parametrize("name", PRINTED)
def test_a_snippet_works_at_another_port(name: str, gateway: Running, tmp_path: Path) -> None:
    moved = scripts()[name].replace(f"http://localhost:{PORT}", gateway.url)
    check(name, run(name, moved, tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("name", PRINTED)
def test_a_snippet_works_literally(name: str, first_run: Running, tmp_path: Path) -> None:
    check(name, run(name, scripts()[name], tmp_path))


def run(name: str, script: str, folder: Path) -> str:
    """Run a snippet and return what it printed."""
    path = folder / name
    path.write_text(script)
    interpreter = "node" if path.suffix == ".mjs" else "bash"
    for tool in (interpreter, *(("curl", "jq") if interpreter == "bash" else ())):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    ran = subprocess.run([interpreter, path], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def check(name: str, printed: str) -> None:
    found = re.fullmatch(PRINTED[name], printed)
    assert found, printed
    if name.endswith(".mjs"):
        check_file(found[1])
    elif name != "video_task.sh":
        expected = IMAGE_ANSWER if name == "image.sh" else VIDEO_ANSWER
        answer = json.loads(found[1])
        assert missing(expected, answer) == []
        check_file(answer["choices"][0]["message"]["content"])


def missing(expected: Any, answer: Any, place: str = "") -> list[str]:
    """Name what the guide shows and the answer has not, or has with another type."""
    if type(expected) is not type(answer):
        return [place]
    if isinstance(expected, list):
        expected, answer = dict(enumerate(expected)), dict(enumerate(answer))
    if isinstance(expected, dict):
        return [
            found for key in expected for found in missing(expected[key], answer.get(key), f"{place}.{key}")
        ]
    return []


def check_file(url: str) -> None:
    answer = httpx.get(url)
    magic, media_type = {
        ".png": (b"\x89PNG", "image/png"),
        ".mp4": (b"ftyp", "video/mp4"),
    }[url[-4:]]
    assert answer.headers["content-type"] == media_type
    assert magic in answer.content[:16]


def test_the_form_of_the_powershell_body_works(gateway: Running) -> None:
    """`ConvertTo-Json` sorts nothing and escapes nothing of this body; its lines end as the system's do."""
    fields = re.findall(r'^    (\w+) = ("[^"]*")$', POWERSHELL[0], re.MULTILINE)
    body = "{\r\n" + ",\r\n".join(f'    "{name}":  {value}' for name, value in fields) + "\r\n}"
    answer = httpx.post(
        f"{gateway.url}/api/chat", content=body, headers={"content-type": "application/json"}, timeout=20
    ).json()
    check_file(answer["choices"][0]["message"]["content"])
