"""JavaScript's clients, each with a test file of its own under `node/`."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.process import Running

HERE = Path(__file__).parent / "node"


@pytest.mark.slow
@pytest.mark.parametrize("client", ["openai", "vercel"])
def test_a_javascript_client(client: str, keyed: Running) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    if not (HERE / "node_modules").exists():
        pytest.skip("the clients are not installed: make e2e does it")
    ran = subprocess.run(
        ["node", "--test", f"{client}.test.mjs"],
        cwd=HERE,
        env={**os.environ, "GATEWAY_URL": keyed.url},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert ran.returncode == 0, ran.stdout
