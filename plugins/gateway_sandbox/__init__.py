"""An embedded provider: the Qwen chat HTTP API, spoken on a real socket, with state and scripted faults.

Importing this package costs next to nothing; each name is loaded when it is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .server import SandboxServer
    from .settings import SandboxSettings
    from .upstream import SandboxUpstream

__all__ = ["SandboxServer", "SandboxSettings", "SandboxUpstream"]

_HOMES = {"SandboxServer": "server", "SandboxSettings": "settings", "SandboxUpstream": "upstream"}


def __getattr__(name: str) -> Any:
    """Load a public name from its module."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
