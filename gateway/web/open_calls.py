"""The calls under way in this process, so that they can be ended from outside with a word."""

import asyncio
from collections.abc import Collection
from typing import Any, Final

from gateway.generation.errors import Draining, GatewayError, KeyRevoked
from gateway.web.auth import ClientKey
from gateway.web.event_stream import EventStream

__all__ = ["OpenCalls"]

_LAST_FRAME_SECONDS: Final = 0.5
"""How long a client may take to read the frame that ends its stream."""

_Task = asyncio.Task[Any]


class OpenCalls:
    """Knows each call by the task that serves it: whose key it came with, and its stream if it is one."""

    def __init__(self) -> None:
        self._digests: dict[_Task, bytes] = {}
        self._streams: dict[_Task, EventStream] = {}
        self._ended: dict[_Task, GatewayError] = {}

    def begin(self, task: _Task, key: ClientKey) -> None:
        """Count a task's call in; one without a key has nothing that could be taken back."""
        if key.digest:
            self._digests[task] = key.digest

    def finish(self, task: _Task) -> None:
        """Count a task's call out."""
        self._digests.pop(task, None)
        if self._ended:  # It may have ended by itself at the same moment.
            self._ended.pop(task, None)

    def add_stream(self, task: _Task, stream: EventStream) -> None:
        """Note that a task writes a stream."""
        self._streams[task] = stream

    def discard_stream(self, task: _Task) -> None:
        """Note that a task's stream has ended."""
        self._streams.pop(task, None)

    def drain(self) -> None:
        """End every stream with a frame that says why."""
        for stream in tuple(self._streams.values()):
            stream.abort(Draining("the gateway is shutting down; try again", code="server_draining"))

    def revoke(self, digests: Collection[bytes]) -> None:
        """End the calls that came with these keys: streams with a frame, others with a 401."""
        for task, digest in tuple(self._digests.items()):
            if digest in digests:
                self._end(task, KeyRevoked("the key was taken back while this call was under way"))

    def reason(self, task: _Task) -> GatewayError:
        """Return why a task's call was ended; called where it was cancelled.

        Raises:
            CancelledError: it was not ended here.
        """
        error = self._ended.pop(task, None)
        if error is None or task.uncancel():
            raise asyncio.CancelledError
        return error

    def _end(self, task: _Task, error: GatewayError) -> None:
        stream = self._streams.get(task)
        if stream is None:
            self._cancel(task, error)
            return
        stream.abort(error)
        # A client that does not read must not keep its provider's call open.
        asyncio.get_running_loop().call_later(_LAST_FRAME_SECONDS, self._cancel, task, error)

    def _cancel(self, task: _Task, error: GatewayError) -> None:
        if task in self._digests and task not in self._ended:
            self._ended[task] = error
            task.cancel()
