"""What can go wrong between a request and the end of its answer.

::

    TransportError
    ├── InvalidRequest          refused before anything was sent
    ├── ConnectError            no connection: address, TCP, TLS or proxy
    │   └── ConnectTimeout
    ├── ReadTimeout
    │   ├── FirstByteTimeout    the request is out, no response head came
    │   ├── SilenceTimeout      the peer stopped in the middle of a body
    │   └── TotalTimeout        the whole exchange took too long
    ├── ConnectionLost          the connection ended before the message did
    ├── ProtocolError           what came is not the HTTP/1.1 we accept
    └── TooLarge                the head or the body passes its cap

Every error says in ``sent`` whether a byte of the request may have reached the server:
only ``sent=False`` is free of charge to try again.
"""

from typing import ClassVar, Literal

__all__ = [
    "ConnectError",
    "ConnectTimeout",
    "ConnectionLost",
    "FirstByteTimeout",
    "InvalidRequest",
    "ProtocolError",
    "ReadTimeout",
    "SilenceTimeout",
    "TooLarge",
    "TotalTimeout",
    "TransportError",
]


class TransportError(Exception):
    """The exchange failed."""

    default_sent: ClassVar[bool] = True

    def __init__(self, message: str, *, sent: bool | None = None) -> None:
        super().__init__(message)
        self.sent = self.default_sent if sent is None else sent


class InvalidRequest(TransportError):
    """The request cannot be put on the wire as it is: bad URL, method, header or length."""

    default_sent = False


class ConnectError(TransportError):
    """No connection could be made, so nothing was sent."""

    default_sent = False


class ConnectTimeout(ConnectError):
    """Address, TCP, TLS and proxy together took longer than ``Deadlines.connect``."""


class ReadTimeout(TransportError):
    """The server did not answer in time."""


class FirstByteTimeout(ReadTimeout):
    """No response head within ``Deadlines.first_byte`` of the request being sent."""


class SilenceTimeout(ReadTimeout):
    """The peer neither sent nor took a byte of a body for ``Deadlines.between_bytes``."""


class TotalTimeout(ReadTimeout):
    """The exchange passed ``Deadlines.total``."""


class ConnectionLost(TransportError):
    """The connection ended before the response was whole."""


class ProtocolError(TransportError):
    """The server broke HTTP/1.1, or used a part of it that is not accepted here."""


class TooLarge(TransportError):
    """The response passed a cap; ``part`` says which."""

    def __init__(self, part: Literal["header", "body"], limit: int) -> None:
        super().__init__(f"the response {part} is larger than {limit} bytes")
        self.part = part
