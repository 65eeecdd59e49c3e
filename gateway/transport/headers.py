"""The header fields of a response."""

from functools import lru_cache

__all__ = ["Headers"]


class Headers:
    """Header fields in the order they came, names in lower case, looked up without regard to case."""

    __slots__ = ("raw",)

    def __init__(self, raw: list[tuple[bytes, bytes]]) -> None:
        self.raw = raw

    def get(self, name: str | bytes) -> bytes | None:
        """Return the first value of ``name``."""
        wanted = _key(name)
        for field, value in self.raw:
            if field == wanted:
                return value
        return None

    def text(self, name: str | bytes, default: str = "") -> str:
        """Return the first value of ``name`` as text (header bytes are Latin-1), else ``default``."""
        value = self.get(name)
        return default if value is None else value.decode("latin-1")

    def __contains__(self, name: str | bytes) -> bool:
        return self.get(name) is not None

    def __repr__(self) -> str:
        # Values may be secrets (set-cookie, signed locations), so only names are shown.
        return f"Headers({', '.join(field.decode('latin-1') for field, _ in self.raw)})"


@lru_cache(maxsize=256)
def _key(name: str | bytes) -> bytes:
    return (name.encode("latin-1") if isinstance(name, str) else name).lower()
