"""What `gateway serve` says when it answers: a page on a terminal, a line in a log."""

import json
import os
import pty
import re
import subprocess
import threading
from pathlib import Path

from tests.cli.running import GATEWAY, clean_environment
from tests.process import FAST_SANDBOX, running

KEYS = '[[auth.keys]]\nname = "alice"\nkey = "sk-canary-0123456789"\n'


def on_a_terminal(folder: Path, toml: str) -> str:
    """Return what `gateway serve` writes on a terminal until the end of its snippet."""
    (folder / "gateway.toml").write_text(toml)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [GATEWAY, "serve", "--port", "0"],
        cwd=folder,
        env=clean_environment(TERM="xterm", GATEWAY_STATE__URL="memory://"),
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    watchdog = threading.Timer(30, process.kill)
    watchdog.start()
    seen = b""
    try:
        while b"Hello" not in seen:
            seen += os.read(ours, 4096)
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()
        os.close(ours)
    return re.sub(r"\x1b\[[0-9;]*m", "", seen.decode())


def test_the_sandbox_says_so_and_how_to_go_on(tmp_path: Path) -> None:
    page = on_a_terminal(tmp_path, "")
    base_url = re.search(r"base_url\s+(http://localhost:\d+/v1)", page)
    assert base_url
    assert "none needed" in page
    assert "sandbox" in page
    assert "gateway config init" in page
    assert f'OpenAI(base_url="{base_url[1]}"' in page


def test_a_key_is_named_but_not_shown(tmp_path: Path) -> None:
    page = on_a_terminal(tmp_path, FAST_SANDBOX + KEYS)
    assert "alice" in page
    assert "canary" not in page
    assert "made up" not in page


def test_a_log_gets_one_line(tmp_path: Path) -> None:
    with running(tmp_path) as gateway:
        lines = [json.loads(line) for line in gateway.logged().splitlines()]
    (serving,) = [line for line in lines if line["event"] == "serving"]
    assert (serving["url"], serving["sandbox"]) == (gateway.url, False)
