"""What may go wrong and is nobody's bug: one line on stderr, and an exit code."""

__all__ = ["CANNOT", "NO", "Problem", "as_problem"]

NO = 1
"""The exit code of a negative answer: something differs, is down, or has failed."""
CANNOT = 2
"""The exit code when the question itself could not be asked."""


class Problem(Exception):
    """Something that the operator can mend; the message says what."""

    def __init__(self, message: str, exit_code: int = CANNOT) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def as_problem(error: Exception) -> Problem | None:
    """Return an expected error as a `Problem`, None for a bug.

    The classes are imported here, after the failure: no command pays for errors that it does not have.
    """
    from gateway.config import ConfigError
    from gateway.plugin_api.registry import PluginError
    from gateway.state.store import StoreUnavailable

    if isinstance(error, Problem):
        return error
    return Problem(str(error)) if isinstance(error, ConfigError | PluginError | StoreUnavailable) else None
