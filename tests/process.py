"""A gateway the way its users run it: the command, in a process of its own; and a provider beside it."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec

COMMAND = Path(sys.executable).with_name("gateway")
FAST_SANDBOX = """
[upstreams.sandbox]
kind = "sandbox"
first_token_seconds = 0.0
tokens_per_second = 0.0
image_seconds = 0.0
video_seconds = 0.5
accounts = [{ id = "one", token = "token-one" }]

[tasks]
poll_interval_seconds = 0.2
"""
"""A provider that answers at once; a film takes half a second."""

_GATEWAY_ADDRESS = re.compile(r"http://localhost:\d+")
_PROVIDER_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")


class Running(msgspec.Struct, frozen=True):
    """A gateway process that answers at `url` and writes its log to `log`."""

    url: str
    log: Path
    process: subprocess.Popen[bytes]

    def logged(self) -> str:
        """Return everything that the process has written so far."""
        return self.log.read_text("utf-8", "replace")

    def in_flight(self, key: str = "") -> int:
        """Return how many calls to the provider are under way, by the word of `/api/status`."""
        status = httpx.get(f"{self.url}/api/status", headers={"x-api-key": key}).json()
        return sum(account["in_flight"] for account in status["accounts"] if not account["chat_type"])

    def kill(self) -> None:
        """End the process as a power cut would."""
        self.process.kill()
        self.process.wait()

    def terminate(self) -> None:
        """Ask the process to end, as Kubernetes does; returns at once."""
        self.process.send_signal(signal.SIGTERM)


class Provider(msgspec.Struct, frozen=True):
    """A sandbox process that stands in for the Qwen chat site; any token is an account."""

    url: str

    def configured(self, *tokens: str, more: str = "") -> str:
        """Return the TOML of an upstream `qwen` with an account for each token."""
        accounts = ", ".join(
            f'{{ id = "account-{at}", token = "{token}" }}' for at, token in enumerate(tokens)
        )
        return (
            f'[upstreams.qwen]\nkind = "qwen_chat"\nbase_url = "{self.url}"\naccounts = [{accounts}]\n'
            f"[tasks]\npoll_interval_seconds = 0.2\n{more}"
        )

    def fail(self, kind: str, **how: Any) -> None:
        """Script a fault; see `gateway_sandbox.faults.Fault`."""
        httpx.post(f"{self.url}/__sandbox__/faults", json={"kind": kind, **how}).raise_for_status()

    def heal(self) -> None:
        """Forget the faults that are still to come."""
        httpx.delete(f"{self.url}/__sandbox__/faults").raise_for_status()

    def calls(self, endpoint: str, chat_type: str = "") -> list[dict[str, Any]]:
        """Return what was received at an endpoint, oldest first."""
        journal = httpx.get(f"{self.url}/__sandbox__/journal").json()
        return [
            call for call in journal if call["endpoint"] == endpoint and chat_type in ("", call["chat_type"])
        ]


@contextmanager
def running(
    folder: Path, toml: str = FAST_SANDBOX, *, port: int = 0, command: Path = COMMAND, **environ: str
) -> Iterator[Running]:
    """Run `gateway serve` with all its state in `folder`; it is gone when the context ends."""
    config = folder / "gateway.toml"
    config.write_text(toml)
    log = folder / "gateway.log"
    serve = [command, "serve", "--config", config, "--port", str(port)]
    with _process(serve, log, _GATEWAY_ADDRESS, environ) as (process, url):
        yield Running(url, log, process)


@contextmanager
def providing(folder: Path, *, tokens_per_second: int = 0, video_seconds: float = 0.5) -> Iterator[Provider]:
    """Run `gateway sandbox`, which keeps nothing; pictures take no time."""
    pace = [
        "--image-seconds=0",
        f"--video-seconds={video_seconds}",
        f"--tokens-per-second={tokens_per_second}",
    ]
    with _process([COMMAND, "sandbox", *pace], folder / "provider.log", _PROVIDER_ADDRESS, {}) as (_, url):
        yield Provider(url)


@contextmanager
def _process(
    command: list[Any], log: Path, address: re.Pattern[str], environ: dict[str, str]
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    with log.open("ab") as sink:
        began = sink.tell()
        process = subprocess.Popen(
            command, cwd=log.parent, env=_clean_environment() | environ, stdout=sink, stderr=sink
        )
    try:
        yield process, _wait_for_address(process, log, began, address)
    finally:
        process.kill()
        process.wait()


def _clean_environment() -> dict[str, str]:
    """Return the environment without what would configure a gateway."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    return kept | {"PYTHONUNBUFFERED": "1"}


def _wait_for_address(
    process: subprocess.Popen[bytes], log: Path, began: int, address: re.Pattern[str]
) -> str:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        found = address.search(log.read_bytes()[began:].decode("utf-8", "replace"))
        if found:
            return found[0]
        time.sleep(0.02)
    raise AssertionError(f"no address in the log:\n{log.read_text('utf-8', 'replace')[-4000:]}")


__all__ = ["COMMAND", "FAST_SANDBOX", "Provider", "Running", "providing", "running"]
