"""The two tables about accounts: what was learned, and the operator's word over it."""

from collections.abc import Set
from typing import Final
from urllib.parse import quote, unquote

import msgspec

from gateway.accounts.standing import Scope, Standing
from gateway.state.store import Conflict, Record, StateStore

__all__ = ["LEDGER", "OVERLAY", "decode_line", "disable", "enable", "encode_line", "read_disabled"]

LEDGER: Final = "ledger"
OVERLAY: Final = "accounts"

_KEEP_SECONDS: Final = 30 * 86_400.0
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Standing).decode


def encode_line(scope: Scope, standing: Standing, *, version: int, now: float) -> Record:
    """Return the standing as a record; it is forgotten 30 days after its last change."""
    return Record(
        key=scope.key, value=_encode(standing), version=version, order=now, expires=now + _KEEP_SECONDS
    )


def decode_line(record: Record) -> tuple[Scope, Standing] | None:
    """Read a record back; None when it is not one of ours."""
    try:
        return Scope.from_key(record.key), _decode(record.value)
    except (TypeError, msgspec.DecodeError):
        return None


async def disable(store: StateStore, upstream: str, account: str) -> None:
    """Take an account out of use, in every replica, until it is enabled."""
    try:
        await store.put(OVERLAY, Record(key=_overlay_key(upstream, account), value=b"disabled"))
    except Conflict:
        return  # It is disabled already.


async def enable(store: StateStore, upstream: str, account: str) -> None:
    """Bring an account back and forget why it rested: the operator has mended the cause."""
    await store.delete(OVERLAY, _overlay_key(upstream, account))
    for record in await store.scan(LEDGER):
        line = decode_line(record)
        if line is not None and (line[0].upstream, line[0].account) == (upstream, account):
            await _forgive(store, line[0])


async def read_disabled(store: StateStore) -> Set[tuple[str, str]]:
    """Return the accounts that operators have disabled, as (upstream, account id)."""
    return {_overlay_names(record.key) for record in await store.scan(OVERLAY)}


async def _forgive(store: StateStore, scope: Scope) -> None:
    while record := await store.get(LEDGER, scope.key):
        line = decode_line(record)
        known = Standing() if line is None else line[1]
        clean = Standing(requests=known.requests, failures=known.failures)
        try:
            await store.put(LEDGER, encode_line(scope, clean, version=record.version, now=await store.now()))
        except Conflict:
            continue  # A replica wrote in between: forgive what it wrote.
        return


def _overlay_key(upstream: str, account: str) -> str:
    return f"{quote(upstream, safe='')}/{quote(account, safe='')}"


def _overlay_names(key: str) -> tuple[str, str]:
    upstream, _, account = key.partition("/")
    return unquote(upstream), unquote(account)
