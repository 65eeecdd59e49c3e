"""The gateway's own HTTP/1.1 client: cancel-safe, with deadlines and caps for everything."""

from gateway.transport.batching import BatchingTransport
from gateway.transport.contract import AnyExchange, AnyTransport
from gateway.transport.errors import (
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    FirstByteTimeout,
    InvalidRequest,
    ProtocolError,
    ReadTimeout,
    SilenceTimeout,
    TooLarge,
    TotalTimeout,
    TransportError,
)
from gateway.transport.headers import Headers
from gateway.transport.httpx_transport import HttpxTransport
from gateway.transport.limits import Caps, Deadlines
from gateway.transport.opening import open_transport
from gateway.transport.timeout_queue import TimeoutQueue
from gateway.transport.transport import Exchange, Transport
from gateway.transport.waiting import Waiting, measure_waiting

__all__ = [
    "AnyExchange",
    "AnyTransport",
    "BatchingTransport",
    "Caps",
    "ConnectError",
    "ConnectTimeout",
    "ConnectionLost",
    "Deadlines",
    "Exchange",
    "FirstByteTimeout",
    "Headers",
    "HttpxTransport",
    "InvalidRequest",
    "ProtocolError",
    "ReadTimeout",
    "SilenceTimeout",
    "TimeoutQueue",
    "TooLarge",
    "TotalTimeout",
    "Transport",
    "TransportError",
    "Waiting",
    "measure_waiting",
    "open_transport",
]
