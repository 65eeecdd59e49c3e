"""The outermost layer: gives every request an id, sees its true end, counts it and logs it, once."""

import os
import re
from collections.abc import Awaitable
from typing import Any

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from gateway.telemetry.metrics import Metrics
from gateway.telemetry.observation import Observation
from gateway.telemetry.request_log import RequestLog
from gateway.transport import measure_waiting
from gateway.web.answers import Headers

__all__ = ["AccessLog"]

_CLIENT_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_QUIET = frozenset({"/livez", "/readyz", "/metrics"})
_CLIENT_GONE_STATUS = 499


class AccessLog:
    """Wraps the application `app`, which may be exchanged; `scope["gateway.observed"]` is the `Observation`.

    `headers` go with every answer.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, log: RequestLog, headers: Headers = ()) -> None:
        self.app = app
        self._metrics = metrics
        self._log = log
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection event."""
        if scope["type"] != "http":  # type: ignore[comparison-overlap]
            await self.app(scope, receive, send)
            return
        observed = _observe(scope)
        scope["gateway.observed"] = observed  # type: ignore[typeddict-unknown-key]
        self._metrics.in_progress += 1
        waiting = measure_waiting()
        try:
            await self.app(scope, receive, _identified(send, observed, self._headers))
        finally:
            self._metrics.in_progress -= 1
            observed.end(waiting.seconds)
            self._finish(scope, observed)

    def _finish(self, scope: Any, observed: Observation) -> None:
        observed.route = scope.get("path_template") or observed.route
        if observed.client_gone and not observed.stream:
            observed.status = _CLIENT_GONE_STATUS
        self._metrics.record_request(observed)
        if observed.route not in _QUIET:
            self._log.write(observed)


def _observe(scope: Any) -> Observation:
    sent = dict(scope["headers"]).get(b"x-request-id")
    client_id = sent.decode() if sent and _CLIENT_ID.fullmatch(sent) else ""
    return Observation(os.urandom(16).hex(), method=scope["method"], client_request_id=client_id)


def _identified(send: Send, observed: Observation, headers: Headers) -> Send:
    """Return a send that adds the request id and `headers`, and notes what passes."""

    def send_and_note(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.body":
            observed.bytes_out += len(message["body"])
        elif message["type"] == "http.response.start":
            observed.status = message["status"]
            request_id = (b"x-request-id", observed.request_id.encode())
            message["headers"] = [*message["headers"], request_id, *headers]
        return send(message)

    return send_and_note
