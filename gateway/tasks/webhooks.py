"""Telling owners that a task is over, in the form of the Standard Webhooks specification."""

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

import msgspec

from gateway.state.store import Claim, Conflict, Record, StateStore, StoreUnavailable
from gateway.tasks.clock import SetClock
from gateway.tasks.records import TABLE as TASKS
from gateway.tasks.task import FINAL, State, Task, decode_task
from gateway.telemetry.logging import get_logger
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.redaction import Secret
from gateway.transport import Deadlines, Transport, TransportError

__all__ = ["Endpoint", "Webhooks", "sign"]

_TABLE = "webhooks"
_PAUSES = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 7200.0, 14_400.0, 21_600.0, 28_800.0)
"""Seconds before each further try; together a day."""
_LEASE_SECONDS = 60.0
_LOOK_SECONDS = 0.5
_BATCH = 20
_NOT_YET_SECONDS = 1.0
_NOT_YET_TRIES = 600
_GONE = 410
_DEADLINES = Deadlines(connect=5.0, first_byte=15.0, between_bytes=5.0, total=30.0)


class Endpoint(msgspec.Struct, frozen=True):
    """Where an owner wants to be told. `secret` is any text, or `whsec_` and base64."""

    url: str
    secret: Secret

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this very machine."""
        host = urlsplit(self.url).hostname or ""
        return host == "localhost" or _is_loopback_address(host)

    def check(self) -> None:
        """Raise `ValueError` unless the URL may be told a secret."""
        parts = urlsplit(self.url)
        if not parts.hostname or not (
            parts.scheme == "https" or (parts.scheme == "http" and self.is_loopback)
        ):
            raise ValueError("a webhook_url must begin with https://, or be on a loopback address")
        if not self.secret:
            raise ValueError("a webhook_url needs a webhook_secret to sign with")


class _Delivery(msgspec.Struct, frozen=True):
    """One thing to tell: the task, to whom, the message's id, and how often it was tried."""

    task_id: str
    owner: str
    tries: int = 0
    early: int = 0


_decode = msgspec.json.Decoder(_Delivery).decode


class Webhooks:
    """Announces ends of tasks: stored before the end itself is, then told at least once.

    Args:
        store: where announcements wait.
        endpoints: by owner; may change at any time.
        public: connects to public addresses only.
        local: connects anywhere; used for loopback endpoints.
        metrics: counts what was tried.
    """

    def __init__(
        self,
        store: StateStore,
        endpoints: Mapping[str, Endpoint],
        public: Transport,
        local: Transport,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._endpoints = endpoints
        self._public = public
        self._local = local
        self._metrics = metrics

    async def announce(self, task: Task) -> None:
        """Have the owner told of a task's end, which is about to be stored; a second time does nothing."""
        if task.owner not in self._endpoints:
            return
        value = msgspec.json.encode(_Delivery(task.id, task.owner))
        record = Record(key=task.id, value=value, due=time.time(), expires=time.time() + 2 * sum(_PAUSES))
        try:
            await self._store.put(_TABLE, record, durable=True)
        except Conflict:
            return

    async def run(self) -> None:
        """Tell what is due; runs for ever."""
        while True:
            claims = await self._claim() if self._endpoints else ()
            await asyncio.gather(*map(self._serve, claims))
            await asyncio.sleep(0 if len(claims) == _BATCH else _LOOK_SECONDS)

    async def _claim(self) -> Sequence[Claim]:
        try:
            return await self._store.claim_due(_TABLE, limit=_BATCH, lease_seconds=_LEASE_SECONDS)
        except StoreUnavailable:
            get_logger().warning("webhook_store_unavailable")
            return ()

    async def _serve(self, claim: Claim) -> None:
        delivery = _decode(claim.record.value)
        clock = SetClock(claim.until - _LEASE_SECONDS)
        try:
            await self._deliver(delivery, claim, clock)
        except (Conflict, StoreUnavailable):
            # The claim ends by time and the announcement is due again: at least once.
            return

    async def _deliver(self, delivery: _Delivery, claim: Claim, clock: SetClock) -> None:
        endpoint = self._endpoints.get(delivery.owner)
        record = await self._store.get(TASKS, delivery.task_id)
        task = decode_task(record.value) if record else None
        if endpoint is None or task is None or delivery.early >= _NOT_YET_TRIES:
            await self._store.delete(_TABLE, delivery.task_id)
        elif task.state not in FINAL:
            waiting = msgspec.structs.replace(delivery, early=delivery.early + 1)
            await self._put_off(waiting, claim, clock.now() + _NOT_YET_SECONDS)
        elif await self._tell(endpoint, task) or delivery.tries == len(_PAUSES):
            await self._store.delete(_TABLE, delivery.task_id)
        else:
            tried = msgspec.structs.replace(delivery, tries=delivery.tries + 1)
            await self._put_off(tried, claim, clock.now() + _PAUSES[delivery.tries])

    async def _put_off(self, delivery: _Delivery, claim: Claim, due: float) -> None:
        record = msgspec.structs.replace(claim.record, value=msgspec.json.encode(delivery), due=due)
        await self._store.put(_TABLE, record, fence=claim.fence)
        await self._store.release(_TABLE, delivery.task_id, claim.fence, due=due)

    async def _tell(self, endpoint: Endpoint, task: Task) -> bool:
        """Send one message; True when it needs no further try."""
        body = _message(task)
        stamp = str(int(time.time()))
        message_id = f"msg_{task.id}"
        headers = [
            (b"content-type", b"application/json"),
            (b"webhook-id", message_id.encode()),
            (b"webhook-timestamp", stamp.encode()),
            (b"webhook-signature", sign(endpoint.secret, message_id, stamp, body).encode()),
        ]
        transport = self._local if endpoint.is_loopback else self._public
        try:
            exchange = await transport.send(
                "POST", endpoint.url, headers=headers, body=body, deadlines=_DEADLINES
            )
        except TransportError as error:
            return self._told(task, type(error).__name__, done=False)
        exchange.close()
        accepted = 200 <= exchange.status < 300
        return self._told(task, str(exchange.status), done=accepted or exchange.status == _GONE)

    def _told(self, task: Task, answer: str, *, done: bool) -> bool:
        self._metrics.count(self._metrics.webhooks, "done" if done else "failed")
        get_logger().info("webhook", task_id=task.id, answer=answer, done=done)
        return done


def sign(secret: Secret, message_id: str, timestamp: str, body: bytes) -> str:
    """Return a message's signature, version 1: HMAC-SHA256 over id, time and body."""
    text = secret.reveal()
    key = base64.b64decode(text.removeprefix("whsec_")) if text.startswith("whsec_") else text.encode()
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def _message(task: Task) -> bytes:
    """Write what happened. The task itself is read with the owner's key: a message holds no address."""
    word = "completed" if task.state is State.COMPLETED else "failed"
    return msgspec.json.encode(
        {
            "id": f"msg_{task.id}",
            "object": "event",
            "type": f"task.{word}",
            "created_at": int(task.finished),
            "data": {"id": task.id, "status": word, "chat_type": task.request.chat_type},
        }
    )


def _is_loopback_address(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
