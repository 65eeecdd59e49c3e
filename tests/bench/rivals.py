"""LiteLLM and Portkey as contestants, installed on demand into folders of their own.

`python -m tests.bench.rivals` installs what is missing; the versions below are the only place that pins them.
"""

import json
import shutil
import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path

from tests.bench.contestants import Launch, Wire
from tests.bench.machine import FOLDER

__all__ = ["LITELLM_VERSION", "PORTKEY_SERVER_VERSION", "PORTKEY_VERSION", "LiteLLM", "Portkey", "install"]

LITELLM_VERSION = "1.106.2"
PORTKEY_VERSION = "1.15.2"
PORTKEY_SERVER_VERSION = "1.13.8"
"""Of @hono/node-server: from 1.14.2 on every stream of Portkey is a 500 (Portkey-AI/gateway#1389)."""

_LITELLM = FOLDER / "rivals" / f"litellm-{LITELLM_VERSION}"
_PORTKEY = FOLDER / "rivals" / f"portkey-{PORTKEY_VERSION}"

_PORTKEY_PACKAGES = {
    "dependencies": {"@portkey-ai/gateway": PORTKEY_VERSION},
    "overrides": {"@hono/node-server": PORTKEY_SERVER_VERSION},
}

_LITELLM_CONFIG = """
model_list:
  - model_name: bench
    litellm_params:
      model: openai/bench
      api_base: http://127.0.0.1:{mock_port}/v1
      api_key: key
litellm_settings:
  telemetry: false
  set_verbose: false
  num_retries: 0
"""


_LITELLM_ENVIRONMENT = {
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOG": "ERROR",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
}


class LiteLLM:
    """The LiteLLM proxy: one worker, production mode, no database, no key check, no log line per request."""

    name = "litellm"
    wires: frozenset[Wire] = frozenset({"chat"})

    def available(self) -> bool:
        return (_LITELLM / "bin" / "litellm").exists()

    def headers(self, mock_port: int) -> Sequence[str]:
        return ()

    def launch(self, port: int, mock_port: int, folder: Path) -> Launch | None:
        config = folder / "config.yaml"
        config.write_text(_LITELLM_CONFIG.format(mock_port=mock_port))
        fixed = ["--host", "127.0.0.1", "--num_workers", "1", "--telemetry", "False"]
        argv: list[str | Path] = [
            _LITELLM / "bin" / "litellm",
            *fixed,
            "--config",
            config,
            "--port",
            str(port),
        ]
        return Launch(argv, _LITELLM_ENVIRONMENT)


class Portkey:
    """The Portkey gateway on node; the provider comes with each request."""

    name = "portkey"
    wires: frozenset[Wire] = frozenset({"chat"})

    def available(self) -> bool:
        return _portkey_server().exists()

    def headers(self, mock_port: int) -> Sequence[str]:
        return (
            "authorization: Bearer key",
            "x-portkey-provider: openai",
            f"x-portkey-custom-host: http://127.0.0.1:{mock_port}/v1",
        )

    def launch(self, port: int, mock_port: int, folder: Path) -> Launch | None:
        node = shutil.which("node") or "node"
        return Launch([node, _portkey_server(), "--headless", f"--port={port}"], {"NODE_ENV": "production"})


def install() -> None:
    """Install both rivals at the pinned versions, each where it can do no harm."""
    if not LiteLLM().available():
        venv.create(_LITELLM, with_pip=True)
        subprocess.run(
            [_LITELLM / "bin" / "pip", "install", "-q", f"litellm[proxy]=={LITELLM_VERSION}"], check=True
        )
    if not Portkey().available():
        _PORTKEY.mkdir(parents=True, exist_ok=True)
        (_PORTKEY / "package.json").write_text(json.dumps(_PORTKEY_PACKAGES))
        npm: list[str | Path] = [
            "npm",
            "install",
            "--silent",
            "--no-fund",
            "--no-audit",
            "--prefix",
            _PORTKEY,
        ]
        subprocess.run(npm, check=True)


def _portkey_server() -> Path:
    return _PORTKEY / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"


if __name__ == "__main__":
    install()
