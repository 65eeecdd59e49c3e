"""Places at which a test can have this process die, as `kill -9` would have it."""

import os
import signal

__all__ = ["FAILPOINTS", "failpoint"]

FAILPOINTS = (
    "key_claimed",
    "prepared",
    "intent_stored",
    "submitted",
    "accepted",
    "answered",
    "drive_intended",
    "drive_accepted",
    "drive_ended",
    "polled",
    "announced",
    "stored_end",
)
"""Every place, in the order in which a task passes them."""


def failpoint(name: str) -> None:
    """Die here if the environment variable GATEWAY_FAILPOINT names this place; otherwise do nothing."""
    if name == os.environ.get("GATEWAY_FAILPOINT"):
        os.kill(os.getpid(), signal.SIGKILL)
