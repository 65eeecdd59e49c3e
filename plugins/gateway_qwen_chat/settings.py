"""What an operator can set about one Qwen chat upstream."""

import ipaddress
from typing import Literal
from urllib.parse import urlsplit

import msgspec

__all__ = ["FALLBACK_MODELS", "QwenChatSettings", "TokenCarrier"]

TokenCarrier = Literal["bearer", "cookie", "both"]

FALLBACK_MODELS = ("qwen-max-latest", "qwen3-max", "qwen3-vl-plus", "qwen3-coder-plus", "qwen3.5-plus")

_ACCOUNT_HEADERS = frozenset({"authorization", "cookie", "content-length", "host"})


class QwenChatSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of one Qwen chat upstream; the defaults suit the public site."""

    base_url: str = "https://chat.qwen.ai"
    """Where the wire lives, without a trailing slash."""
    token_carrier: TokenCarrier = "bearer"  # noqa: S105 - the word for a carrier, no secret
    """How an account's token travels: clients disagree on which of the two the site accepts."""
    version: str = ""
    """The web build to name in the `version` header; some deployments refuse a call without one."""
    headers: dict[str, str] = {}
    """Further fixed headers of every call to `base_url`; never the account's own."""
    delete_chats: bool = False
    """Whether the provider's chat of a one-off call is deleted once the answer is over."""
    busy_waits: tuple[float, ...] = (1.0, 2.0, 4.0)
    """Seconds to wait before each further try while the chat still answers its previous turn."""
    fallback_models: tuple[str, ...] = FALLBACK_MODELS
    """Models to list while the provider does not tell its own."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or self.base_url.endswith("/"):
            raise ValueError("base_url must be an http(s) URL without a trailing slash")
        if owned := sorted(name for name in self.headers if name.lower() in _ACCOUNT_HEADERS):
            raise ValueError(f"headers must not set {', '.join(owned)}: it belongs to each call's account")

    def is_private(self, url: str) -> bool:
        """Whether only this machine or its network can fetch `url`.

        True on the upstream's own origin when that is a loopback or private address.
        """
        ours, theirs = urlsplit(self.base_url), urlsplit(url)
        same = (ours.scheme, ours.netloc) == (theirs.scheme, theirs.netloc)
        return same and _is_private_host(ours.hostname or "")


def _is_private_host(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return False
