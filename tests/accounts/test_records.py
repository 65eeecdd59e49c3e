"""The operator's word, written by one process and read by others."""

import asyncio

import pytest

from gateway.accounts.records import LEDGER, decode_line, disable, enable, encode_line, read_disabled
from gateway.accounts.standing import FOREVER, Scope, Standing
from gateway.state.store import Record

pytestmark = pytest.mark.anyio

INVALID = Standing(state="invalid", until=FOREVER, reason="rejected", ramp=1, requests=5, failures=2)


async def test_names_of_any_kind_survive(store):
    names = {("qwen", "main"), ("a/b", "c/d"), ("a", "b/c/d"), ("ü ", "%2F")}
    for upstream, account in names:
        await disable(store, upstream, account)
    assert await read_disabled(store) == names


async def test_enabling_forgives_this_account_only_and_keeps_the_counts(store, clock):
    mine = [Scope("qwen", "main", "t2t"), Scope("qwen", "main", credential="abc")]
    other = Scope("qwen", "main2", "t2t")
    for scope in [*mine, other]:
        await store.put(LEDGER, encode_line(scope, INVALID, version=0, now=clock()))
    await store.put(LEDGER, Record(key="garbage", value=b""))
    await enable(store, "qwen", "main")
    for scope in mine:
        assert decode_line(await store.get(LEDGER, scope.key)) == (scope, Standing(requests=5, failures=2))
    assert decode_line(await store.get(LEDGER, other.key)) == (other, INVALID)


async def test_enabling_what_was_not_disabled_is_no_error(store):
    await enable(store, "qwen", "nobody")
    assert await read_disabled(store) == set()


async def test_enabling_from_several_places_at_once(store, clock):
    scope = Scope("qwen", "main", "t2t")
    await store.put(LEDGER, encode_line(scope, INVALID, version=0, now=clock()))
    await asyncio.gather(*(enable(store, "qwen", "main") for _ in range(5)))
    assert decode_line(await store.get(LEDGER, scope.key))[1].state == "ok"
