"""The Lua scripts, one per atomic decision, each behind the opening that its family shares."""

import hashlib
from importlib import resources

import msgspec

__all__ = [
    "CLAIM_DUE",
    "DELETE",
    "GET",
    "LEASE_ACQUIRE",
    "LEASE_RELEASE",
    "LEASE_RENEW",
    "LIST",
    "PUT",
    "RELEASE",
    "SCAN",
    "TURN_TAKE",
    "Script",
]


class Script(msgspec.Struct, frozen=True):
    """A script's source, and the digest under which a server may already know it."""

    source: str
    sha: str


def _load(opening: str, name: str, *, writes: bool = True) -> Script:
    """Read a script; one that only reads also runs on a server that refuses writes."""
    folder = resources.files("gateway.state") / "scripts"
    parts = [(folder / f"{part}.lua").read_text("utf-8") for part in (opening, name)]
    source = "\n".join(["#!lua" if writes else "#!lua flags=no-writes", *parts])
    return Script(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


GET = _load("records", "get", writes=False)
LIST = _load("records", "list", writes=False)
SCAN = _load("records", "scan", writes=False)
PUT = _load("records", "put")
DELETE = _load("records", "delete")
CLAIM_DUE = _load("records", "claim_due")
RELEASE = _load("records", "release")
LEASE_ACQUIRE = _load("leases", "lease_acquire")
LEASE_RENEW = _load("leases", "lease_renew")
LEASE_RELEASE = _load("leases", "lease_release")
TURN_TAKE = _load("leases", "turn_take")
