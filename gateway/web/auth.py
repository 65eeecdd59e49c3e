"""Client keys: who calls, and what that key may do."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from gateway.config import AuthSettings, ConfigError, KeySettings
from gateway.generation.errors import Forbidden, Unauthorized

__all__ = ["ANONYMOUS", "ClientKey", "KeyRing"]


class ClientKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key's rights. `name` owns every object that is made with it."""

    name: str
    chat_types: frozenset[str] | None = None
    models: frozenset[str] = frozenset({"*"})
    admin: bool = False

    def check(self, chat_type: str, model: str) -> None:
        """Raise `Forbidden` unless the key may use this chat type and model."""
        if self.chat_types is not None and chat_type not in self.chat_types:
            raise Forbidden(f"this key may not use chatType {chat_type}", param="chatType")
        if "*" not in self.models and model not in self.models:
            raise Forbidden(f"this key may not use the model {model}", param="model")


ANONYMOUS = ClientKey(name="anonymous", admin=True)
"""The only owner where no keys are configured."""


class KeyRing:
    """Finds a key by the SHA-256 of what the client sent: its value is never compared byte by byte."""

    def __init__(self, settings: AuthSettings) -> None:
        self._keys = dict(_digested(settings.keys))
        self._anonymous: ClientKey | None = None
        if not self._keys:
            self._anonymous = ANONYMOUS
        elif settings.allow_anonymous:
            self._anonymous = ClientKey(name="anonymous")

    @property
    def open(self) -> bool:
        """Whether no key is configured at all."""
        return not self._keys

    def identify(self, headers: Mapping[str, str]) -> ClientKey:
        """Return the caller's key.

        Raises:
            Unauthorized: no key where one is needed, or a wrong one.
        """
        sent = _sent_key(headers)
        if not self._keys and self._anonymous is not None:
            return self._anonymous
        if not sent:
            if self._anonymous is None:
                raise Unauthorized("a key is required: send Authorization: Bearer <key>")
            return self._anonymous
        found = self._keys.get(hashlib.sha256(sent.encode()).digest())
        if found is None:
            raise Unauthorized("the key is not valid")
        return found


def _sent_key(headers: Mapping[str, str]) -> str:
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    return headers.get("x-api-key", "").strip()


def _digested(keys: Iterable[KeySettings]) -> Iterable[tuple[bytes, ClientKey]]:
    for key in keys:
        rights = ClientKey(
            name=key.name,
            chat_types=None if key.chat_types is None else frozenset(key.chat_types),
            models=frozenset(key.models),
            admin=key.admin,
        )
        yield _digest(key), rights


def _digest(key: KeySettings) -> bytes:
    if key.key_sha256:
        try:
            return bytes.fromhex(key.key_sha256)
        except ValueError:
            raise ConfigError(f"auth.keys: key_sha256 of {key.name} is not hexadecimal") from None
    value = key.key.reveal() if key.key else _read_key_file(key)
    if not value:
        raise ConfigError(f"auth.keys: the key of {key.name} is empty")
    return hashlib.sha256(value.encode()).digest()


def _read_key_file(key: KeySettings) -> str:
    try:
        return Path(key.key_file).read_text("utf-8").strip()
    except OSError as error:
        raise ConfigError(f"auth.keys: cannot read the key file of {key.name}: {error.strerror}") from error
