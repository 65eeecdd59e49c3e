"""The real executable, as an operator's shell runs it."""

import os
import subprocess
import sys
from pathlib import Path

GATEWAY = Path(sys.executable).with_name("gateway")

__all__ = ["GATEWAY", "clean_environment", "run"]


def clean_environment(**variables: str) -> dict[str, str]:
    """Return this process's environment without its GATEWAY_ variables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    return kept | {"NO_COLOR": "1", "COLUMNS": "100"} | variables


def run(*args: str, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `gateway ARGS` to its end."""
    return subprocess.run(
        [GATEWAY, *args],
        cwd=cwd,
        env=clean_environment(**variables),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
