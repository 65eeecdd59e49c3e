"""A chat type from another distribution: installed beside the gateway, it works; nothing here knows it."""

import io
import shutil
import subprocess
import sys
import sysconfig
import wave
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.process import FAST_SANDBOX, Running, running

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
SOURCE_OF_GATEWAY = ("gateway", "plugins", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the gateway and the plugin installed from their wheels.

    Everything else comes from the environment of these tests, so that no network is needed.
    """
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv")
    library = next((folder / "venv/lib").glob("python*/site-packages"))
    (library / "borrowed.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})")
    sources = [copy_gateway(folder / "source"), copy_plugin(folder / "plugin")]
    install = ("install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--ignore-installed")
    run(sys.executable, "-m", "pip", "--python", folder / "venv/bin/python", *install, *sources)
    return folder


def copy_gateway(target: Path) -> Path:
    target.mkdir()
    for name in SOURCE_OF_GATEWAY:
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        copy(PROJECT / name, target / name)
    return target


def copy_plugin(target: Path) -> Path:
    return Path(shutil.copytree(HERE / "gateway_t2a", target))


@pytest.fixture(scope="module")
def gateway(environment: Path) -> Iterator[Running]:
    with running(environment, FAST_SANDBOX, command=environment / "venv/bin/gateway") as gateway:
        yield gateway


def run(*command: str | Path, folder: Path | None = None) -> str:
    ran = subprocess.run([*command], cwd=folder, capture_output=True, text=True, timeout=100)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def ask(gateway: Running, **body: object) -> httpx.Response:
    return httpx.post(f"{gateway.url}/api/chat", json={"message": "Rain at night", "chatType": "t2a", **body})


def test_a_tune_is_archived_and_served_as_what_it_is(gateway: Running) -> None:
    answer = ask(gateway)
    assert answer.status_code == 200, answer.text
    url = answer.json()["choices"][0]["message"]["content"]
    assert url.startswith(f"{gateway.url}/media/")
    assert url.endswith(".wav")
    file = httpx.get(url)
    assert file.headers["content-type"] == "audio/wav"
    with wave.open(io.BytesIO(file.content)) as sound:
        assert sound.getnframes() / sound.getframerate() == 4.0


def test_a_tune_can_be_streamed(gateway: Running) -> None:
    answer = ask(gateway, stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "/media/" in answer.text
    assert answer.text.endswith("data: [DONE]\n\n")


def test_its_own_errors_are_answers(gateway: Running) -> None:
    answer = ask(gateway, message=" ")
    assert answer.status_code == 400
    assert answer.json()["error"] == "A tune needs a prompt."


def test_its_models_names_are_its_own(gateway: Running) -> None:
    assert ask(gateway, model="pentatonic-1").json()["model"] == "pentatonic-1"
    assert ask(gateway, model="pentatonic-1", chatType="t2t").status_code == 404


def test_the_other_chat_types_do_not_notice(gateway: Running) -> None:
    assert ask(gateway, chatType="t2t").json()["choices"][0]["message"]["content"]
    refused = ask(gateway, chatType="t2song")
    assert refused.status_code == 400
    assert "t2a, t2i, t2t, t2v" in refused.json()["error"]


def test_the_gateway_tells_who_ships_it(environment: Path) -> None:
    listed = run(environment / "venv/bin/gateway", "plugins", folder=environment)
    (line,) = (line for line in listed.splitlines() if "t2a" in line)
    assert "gateway-t2a" in line
    assert "1.2.3" in line


def test_its_author_can_prove_it_with_the_kit(environment: Path) -> None:
    printed = run(environment / "venv/bin/python", "-m", "pytest", "-q", folder=environment / "plugin")
    assert " passed" in printed
