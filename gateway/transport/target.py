"""Where a request goes: a URL split once and remembered."""

import ipaddress
import re
from functools import lru_cache

import msgspec

from gateway.transport.errors import InvalidRequest

__all__ = ["Target", "split_url"]

# Only visible ASCII: a line break, a space or a raw UTF-8 byte never gets as far as a request line.
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[!-\"$->@-~]*)?(?P<query>\?[!-\"$-~]*)?(?:#[!-~]*)?",
    re.IGNORECASE,
)
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Target(msgspec.Struct, frozen=True):
    """One URL, split."""

    secure: bool
    host: str
    """A name or an address, without brackets."""
    port: int
    origin: str
    """The key of the connections that may be shared: scheme, host and port."""
    authority: bytes
    """The value of the ``Host`` header."""
    path: bytes
    """The request target in origin form."""

    @property
    def endpoint(self) -> str:
        """``host:port``, for ``CONNECT`` and for messages."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@lru_cache(maxsize=1024)
def split_url(url: str) -> Target:
    """Split an absolute ``http`` or ``https`` URL.

    The URL must be percent-encoded ASCII without user information; a fragment is dropped.
    Raises ``InvalidRequest``, whose message never repeats the URL (it may be signed).
    """
    match = _URL.fullmatch(url)
    if match is None:
        raise InvalidRequest("not an absolute http or https URL in percent-encoded ASCII, without user info")
    scheme, bracketed = match["scheme"].lower(), match["host"].lower()
    port = int(match["port"] or _DEFAULT_PORTS[scheme])
    if not 0 < port < 65_536:
        raise InvalidRequest("the URL's port is out of range")
    suffix = "" if port == _DEFAULT_PORTS[scheme] else f":{port}"
    return Target(
        secure=scheme == "https",
        host=_bare_host(bracketed),
        port=port,
        origin=f"{scheme}://{bracketed}:{port}",
        authority=f"{bracketed}{suffix}".encode(),
        path=f"{match['path'] or '/'}{match['query'] or ''}".encode(),
    )


def _bare_host(bracketed: str) -> str:
    if not bracketed.startswith("["):
        return bracketed
    try:
        return str(ipaddress.IPv6Address(bracketed[1:-1]))
    except ValueError as error:
        raise InvalidRequest("the URL's IPv6 address is not valid") from error
