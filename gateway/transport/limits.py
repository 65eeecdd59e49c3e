"""How long an exchange may take and how much it may bring."""

import msgspec

__all__ = ["Caps", "Deadlines"]


class Deadlines(msgspec.Struct, frozen=True):
    """Seconds on the monotonic clock; ``float("inf")`` switches one off."""

    connect: float = 5.0
    """Address, TCP, TLS and proxy together."""
    first_byte: float = 60.0
    """From the request being sent to the response head."""
    between_bytes: float = 30.0
    """Silence while a body is waited for, or while the peer takes no more of ours."""
    total: float = 600.0
    """The whole exchange, from ``send`` to the end of the body; a slow drip meets it."""


class Caps(msgspec.Struct, frozen=True):
    """Bytes of one response that are accepted."""

    header_bytes: int = 65_536
    """The head, informational responses and trailers included."""
    body_bytes: int = 64 * 2**20
    """The body in all, however it is read."""
