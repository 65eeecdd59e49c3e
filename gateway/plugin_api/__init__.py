"""Everything that a plugin author imports, in one place.

The contracts are on one page in `gateway.plugin_api.protocols`; the tests that your plugin should pass are in
`gateway.plugin_api.testing`; the vocabulary (events, requests, errors) is in `gateway.generation`.
"""

from gateway.accounts.account import Account
from gateway.accounts.allowance import Allowance
from gateway.dialects.base import Call, Dialect, FormPart, FrameEncoder, MediaRef, Purpose, Route
from gateway.plugin_api.http import (
    Answer,
    Body,
    Caps,
    Deadlines,
    Exchange,
    Fields,
    Transport,
    TransportError,
    decode_json,
    fetch,
    http_client,
    open_stream,
    retry_after,
    upstream_error,
)
from gateway.plugin_api.protocols import (
    CostlyGenerator,
    FileUpstream,
    Generator,
    Lease,
    Mode,
    Prepared,
    Run,
    TaskState,
    TaskUpstream,
    TellingUpstream,
    Upstream,
    UpstreamContext,
    UpstreamPlugin,
    UpstreamTask,
)
from gateway.plugin_api.sse import EventDecoder, ServerSentEvent, read_events
from gateway.telemetry.redaction import Secret, redact

__all__ = [
    "Account",
    "Allowance",
    "Answer",
    "Body",
    "Call",
    "Caps",
    "CostlyGenerator",
    "Deadlines",
    "Dialect",
    "EventDecoder",
    "Exchange",
    "Fields",
    "FileUpstream",
    "FormPart",
    "FrameEncoder",
    "Generator",
    "Lease",
    "MediaRef",
    "Mode",
    "Prepared",
    "Purpose",
    "Route",
    "Run",
    "Secret",
    "ServerSentEvent",
    "TaskState",
    "TaskUpstream",
    "TellingUpstream",
    "Transport",
    "TransportError",
    "Upstream",
    "UpstreamContext",
    "UpstreamPlugin",
    "UpstreamTask",
    "decode_json",
    "fetch",
    "http_client",
    "open_stream",
    "read_events",
    "redact",
    "retry_after",
    "upstream_error",
]
