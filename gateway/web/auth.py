"""Client keys: who calls, and what that key may do."""

import hashlib
import re
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from gateway.config import AuthSettings, ConfigError, KeySettings, digest_of
from gateway.generation.errors import Forbidden, NotFound, Unauthorized

__all__ = ["ANONYMOUS", "ClientKey", "KeyRights", "KeyRing", "KeyView", "new_key"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_NOBODY = "anonymous"


class KeyRights(msgspec.Struct, frozen=True, kw_only=True):
    """What a key may do. `name` owns every object that is made with it.

    `rpm` and `concurrency` are requests per minute and calls at the same time, None for any number.
    """

    name: str
    chat_types: frozenset[str] | None = None
    models: frozenset[str] = frozenset({"*"})
    admin: bool = False
    rpm: int | None = None
    concurrency: int | None = None


class ClientKey(KeyRights, frozen=True, kw_only=True):
    """A caller's key; `digest` tells it from another key of the same name, empty for nobody's."""

    digest: bytes = b""

    @property
    def limited(self) -> bool:
        """Whether calls with this key are counted."""
        return self.rpm is not None or self.concurrency is not None

    def check(self, chat_type: str, model: str, alias: str = "") -> None:
        """Raise `Forbidden` unless the key may use this chat type and model, by its own or the asked name."""
        if self.chat_types is not None and chat_type not in self.chat_types:
            raise Forbidden(f"this key may not use chatType {chat_type}", param="chatType")
        if not self.models & {"*", model, alias}:
            raise Forbidden(f"this key may not use the model {model}", param="model")


class KeyView(msgspec.Struct, frozen=True):
    """A configured key as an operator may see it: nothing of its value."""

    key: KeyRights
    revoked: bool


ANONYMOUS = ClientKey(name=_NOBODY, admin=True)
"""The only owner where no keys are configured."""


def new_key() -> str:
    """Return a key that nobody can guess; only its `digest_of` needs to be written down."""
    return f"sk-{secrets.token_urlsafe(32)}"


class KeyRing:
    """Finds a key by the SHA-256 of what the client sent: its value is never compared byte by byte.

    A key that was revoked is refused by its digest, so that its name can get a new one and keep its objects.
    """

    def __init__(self, settings: AuthSettings) -> None:
        self._revoked: frozenset[bytes] = frozenset()
        self.load(settings)

    def load(self, settings: AuthSettings) -> None:
        """Take the keys of a configuration, also in the place of an earlier one.

        Raises:
            ConfigError: a key cannot be used; the earlier ones stay.
        """
        self._configured = _digested(settings.keys)
        self._anonymous: ClientKey | None = None
        if not self._configured:
            self._anonymous = ANONYMOUS
        elif settings.allow_anonymous:
            self._anonymous = ClientKey(name=_NOBODY)
        self.refuse(self._revoked)

    def refuse(self, revoked: Collection[bytes]) -> None:
        """Refuse the keys with these digests, and only these, from now on."""
        self._revoked = frozenset(revoked)
        self._keys = {digest: key for digest, key in self._configured.items() if digest not in self._revoked}

    @property
    def open(self) -> bool:
        """Whether no key is configured at all."""
        return not self._configured

    def identify(self, headers: Mapping[bytes, bytes]) -> ClientKey:
        """Return the caller's key.

        Raises:
            Unauthorized: no key where one is needed, or a wrong or revoked one.
        """
        if not self._configured:
            return ANONYMOUS
        sent = _sent_key(headers)
        if not sent:
            if self._anonymous is None:
                raise Unauthorized("a key is required: send Authorization: Bearer <key>")
            return self._anonymous
        found = self._keys.get(hashlib.sha256(sent).digest())
        if found is None:
            raise Unauthorized("the key is not valid")
        return found

    def find(self, name: str) -> bytes:
        """Return the digest of a configured key. Raises `NotFound`."""
        for digest, key in self._configured.items():
            if key.name == name:
                return digest
        raise NotFound("no key of this name is configured", param="name")

    def list(self) -> Sequence[KeyView]:
        """Return the configured keys, revoked or not."""
        return [
            KeyView(msgspec.convert(key, KeyRights, from_attributes=True), digest in self._revoked)
            for digest, key in self._configured.items()
        ]


def _sent_key(headers: Mapping[bytes, bytes]) -> bytes:
    scheme, _, value = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer":
        return value.strip()
    return headers.get(b"x-api-key", b"").strip()


def _digested(keys: Iterable[KeySettings]) -> dict[bytes, ClientKey]:
    found: dict[bytes, ClientKey] = {}
    for key in keys:
        digest = _digest(key)
        if digest in found:
            raise ConfigError(f"auth.keys: {found[digest].name} and {key.name} are the same key")
        found[digest] = _client_key(key, digest)
    return found


def _client_key(key: KeySettings, digest: bytes) -> ClientKey:
    if not _NAME.fullmatch(key.name) or key.name == _NOBODY:
        raise ConfigError(
            f"auth.keys: {key.name!r} cannot name an owner: use up to 64 letters, digits and . _ @ - "
            f"(and not {_NOBODY!r}, which is everybody without a key)"
        )
    for field in ("rpm", "concurrency"):
        if (limit := getattr(key, field)) is not None and limit < 1:
            raise ConfigError(f"auth.keys: {field} of {key.name} must be at least 1")
    return ClientKey(
        name=key.name,
        chat_types=None if key.chat_types is None else frozenset(key.chat_types),
        models=frozenset(key.models),
        admin=key.admin,
        rpm=key.rpm,
        concurrency=key.concurrency,
        digest=digest,
    )


def _digest(key: KeySettings) -> bytes:
    if key.key_sha256:
        return _read_digest(key)
    if key.key:
        return key.key.value
    value = _read_key_file(key)
    if not value:
        raise ConfigError(f"auth.keys: the key of {key.name} is empty")
    return digest_of(value)


def _read_digest(key: KeySettings) -> bytes:
    try:
        digest = bytes.fromhex(key.key_sha256)
    except ValueError:
        digest = b""
    if len(digest) != hashlib.sha256().digest_size:
        raise ConfigError(f"auth.keys: key_sha256 of {key.name} is not a SHA-256 in hexadecimal")
    return digest


def _read_key_file(key: KeySettings) -> str:
    try:
        return Path(key.key_file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(f"auth.keys: cannot read the key file of {key.name}: {reason}") from error
