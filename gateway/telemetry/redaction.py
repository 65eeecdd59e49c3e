"""What must not be seen: secrets that never show themselves, and text made safe for logs."""

import re
from typing import Any

__all__ = ["Secret", "redact", "safe_url"]


class Secret:
    """A token or key. Only `reveal()` shows it; `repr`, `str` and formatting do not."""

    __slots__ = ("_value",)

    def __init__(self, value: str = "") -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value, for the one call that sends it."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "Secret(***)" if self._value else "Secret()"

    __str__ = __repr__


_URL = re.compile(r"(?P<origin_and_path>https?://[^\s?#\"'<>]*)[?#][^\s\"'<>]*")
_CREDENTIALS = re.compile(r"(?i)\b(bearer\s+|sk-|eyJ)[A-Za-z0-9._~+/=-]{6,}")


def safe_url(text: str) -> str:
    """Cut the query off every URL in a text: signed URLs are bearer secrets."""
    return _URL.sub(r"\g<origin_and_path>", text)


def redact(value: Any) -> Any:
    """Make one log value safe: texts lose URL queries and anything that looks like a credential."""
    if not isinstance(value, str):
        return value
    return _CREDENTIALS.sub(r"\1***", safe_url(value))
