"""What can be chosen about a sandbox: its pace, its accounts, its limits."""

from typing import Literal

import msgspec

__all__ = ["Carrier", "SandboxSettings"]

Carrier = Literal["any", "bearer", "cookie"]


class SandboxSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of one sandbox server; the defaults suit a first run on a laptop."""

    path: str | None = None
    """File that keeps chats, tasks and media over a restart; `None` keeps them in memory."""
    seed: int = 0
    """Changes every generated text and picture; equal seeds give equal answers."""

    tokens: tuple[str, ...] = ()
    """Accounts that exist; empty accepts any token that is not blank."""
    carrier: Carrier = "any"
    """Where the account token must travel: some deployments of the wire refuse a bare bearer."""

    first_token_seconds: float = 0.15
    """Delay before the first word of an answer."""
    tokens_per_second: float = 150.0
    """Pace of an answer; 0 sends as fast as the socket takes it."""
    image_seconds: float = 1.0
    """How long a picture pretends to take."""
    video_seconds: float = 6.0
    """How long a video pretends to take, from its creation on."""
    keep_alive_seconds: float = 10.0
    """Interval of the frames that keep a waiting picture's connection busy."""

    quotas: dict[str, int] = {}
    """Accepted calls per account, chat type and UTC day, e.g. `{"t2i": 10}`; no entry, no limit."""
    max_body_mb: int = 128
    """Largest request body that is read."""
    journal_limit: int = 50_000
    """Requests that the journal remembers; older ones are forgotten."""
