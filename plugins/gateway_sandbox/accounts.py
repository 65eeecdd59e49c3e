"""Who is calling: a token, carried as a bearer or in a cookie, is an account."""

import hashlib
import uuid
from collections.abc import Mapping

import msgspec

from .refusals import Refusal
from .settings import SandboxSettings

__all__ = ["Credentials", "authenticate", "user_id"]


class Credentials(msgspec.Struct, frozen=True):
    """The tokens that a request carries, by carrier; an empty string where there is none."""

    bearer: str = ""
    cookie: str = ""

    @classmethod
    def read(cls, headers: Mapping[str, str], cookies: Mapping[str, str]) -> "Credentials":
        """Find the tokens of a request."""
        scheme, _, value = headers.get("authorization", "").partition(" ")
        bearer = value.strip() if scheme.lower() == "bearer" else ""
        return cls(bearer, cookies.get("token", ""))

    @property
    def token(self) -> str:
        """The token that counts."""
        return self.bearer or self.cookie

    @property
    def account(self) -> str:
        """The user id behind the token, or an empty string."""
        return user_id(self.token) if self.token else ""


def user_id(token: str) -> str:
    """Return the account id of a token: a UUID that is a hash of it, so no token is ever stored."""
    return str(uuid.UUID(bytes=hashlib.sha256(token.encode()).digest()[:16], version=4))


def authenticate(credentials: Credentials, settings: SandboxSettings) -> str:
    """Return the user id of the caller; a missing, mixed or unknown token raises a 401 `Refusal`."""
    if credentials.bearer and credentials.cookie and credentials.bearer != credentials.cookie:
        raise _unauthorized("the bearer token and the cookie belong to different accounts")
    token = credentials.token if settings.carrier == "any" else getattr(credentials, settings.carrier)
    if not token or (settings.tokens and token not in settings.tokens):
        raise _unauthorized("Token has expired or is invalid")
    return user_id(token)


def _unauthorized(reason: str) -> Refusal:
    return Refusal(401, "Unauthorized", f"401 Unauthorized: {reason}")
