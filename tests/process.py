"""A gateway the way its users run it: the command, in a process of its own."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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

_ADDRESS = re.compile(r"http://localhost:\d+")


class Running(msgspec.Struct, frozen=True):
    """A gateway process that answers at `url` and writes its log to `log`."""

    url: str
    log: Path
    process: subprocess.Popen[bytes]

    def logged(self) -> str:
        """Return everything that the process has written so far."""
        return self.log.read_text("utf-8", "replace")

    def kill(self) -> None:
        """End the process as a power cut would."""
        self.process.kill()
        self.process.wait()

    def terminate(self) -> None:
        """Ask the process to end, as Kubernetes does; returns at once."""
        self.process.send_signal(signal.SIGTERM)


@contextmanager
def running(
    folder: Path, toml: str = FAST_SANDBOX, *, port: int = 0, command: Path = COMMAND, **environ: str
) -> Iterator[Running]:
    """Run `gateway serve` with all its state in `folder`; it is gone when the context ends."""
    config = folder / "gateway.toml"
    config.write_text(toml)
    log = folder / "gateway.log"
    with log.open("ab") as sink:
        began = sink.tell()
        process = subprocess.Popen(
            [command, "serve", "--config", config, "--port", str(port)],
            cwd=folder,
            env={**_clean_environment(), **environ},
            stdout=sink,
            stderr=sink,
        )
    try:
        yield Running(_wait_for_address(process, log, began), log, process)
    finally:
        process.kill()
        process.wait()


def _clean_environment() -> dict[str, str]:
    """Return the environment without what would configure a gateway."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}


def _wait_for_address(process: subprocess.Popen[bytes], log: Path, began: int) -> str:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        found = _ADDRESS.search(log.read_bytes()[began:].decode("utf-8", "replace"))
        if found:
            return found[0]
        time.sleep(0.02)
    raise AssertionError(f"the gateway did not start:\n{log.read_text('utf-8', 'replace')[-4000:]}")


__all__ = ["COMMAND", "FAST_SANDBOX", "Running", "running"]
