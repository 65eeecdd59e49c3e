"""Client keys as they are kept: by their SHA-256 and in no other form."""

import hashlib

__all__ = ["KeyDigest", "digest_of"]


def digest_of(value: str) -> bytes:
    """Return the SHA-256 of a key, the only form in which keys are kept."""
    return hashlib.sha256(value.encode()).digest()


class KeyDigest:
    """A key that was written in plain, hashed while it is read; `value` is empty for an empty key.

    It shows no digest either: a key that somebody made up could be guessed from it.
    """

    __slots__ = ("value",)

    def __init__(self, key: str) -> None:
        self.value = digest_of(key) if key else b""

    def __bool__(self) -> bool:
        return bool(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KeyDigest) and other.value == self.value

    def __hash__(self) -> int:
        return hash(self.value)

    def __repr__(self) -> str:
        return "KeyDigest(***)" if self.value else "KeyDigest()"
