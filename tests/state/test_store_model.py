"""Any sequence of operations leaves every store where a plain dict would be."""

import asyncio
import math

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gateway.state.sqlite import SqliteStore
from gateway.state.store import Conflict, Record
from gateway.state.valkey import ValkeyServer, ValkeyStore

_KEYS = st.sampled_from(["a", "b", "ä", "a/b", "0"])
_OWNERS = st.sampled_from(["", "o", "p"])
_ORDERS = st.sampled_from([0.0, 1.0, 1.5, -2.25, 1e12])
_DUES = st.sampled_from([0.0, 1.0, 2.5, 4e9])
_MOMENT = 0.003
_FAR = 4e9


class Kept(msgspec.Struct):
    """What the model knows of one record; `free` is when it may be claimed again."""

    record: Record
    fence: int | None = None
    free: float = 0.0


class StoreMachine(RuleBasedStateMachine):
    """Drives a store and a dict with the same calls. Short times are over before the next step."""

    def __init__(self, open_store) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._store = self._run(open_store())
        self._model: dict[str, Kept] = {}
        self._fences: list[int] = []

    def teardown(self) -> None:
        self._run(self._store.aclose())
        self._runner.close()

    @rule(
        key=_KEYS,
        value=st.binary(max_size=20),
        owner=_OWNERS,
        order=_ORDERS,
        due=_DUES,
        expires=st.sampled_from([0.0, 0.0, _FAR, _MOMENT]),
        off=st.sampled_from([0, 0, 0, 1, -1]),
        durable=st.booleans(),
    )
    def put(self, key, value, owner, order, due, expires, off, durable):
        standing = self._model.get(key)
        version = max((standing.record.version if standing else 0) + off, 0)
        record = Record(key=key, value=value, version=version, owner=owner, order=order, due=due)
        self._put(record, None, durable, expires)

    @precondition(lambda self: self._model and self._fences)
    @rule(data=st.data(), due=_DUES)
    def put_with_fence(self, data, due):
        key = data.draw(st.sampled_from(sorted(self._model)))
        fence = data.draw(st.sampled_from(self._fences))
        record = msgspec.structs.replace(self._model[key].record, due=due, value=b"fenced")
        self._put(record, fence, False, record.expires)

    def _put(self, record: Record, fence: int | None, durable: bool, expires: float) -> None:
        lives = expires != _MOMENT
        if not lives:
            expires += self._run(self._store.now())
        record = msgspec.structs.replace(record, expires=expires)
        standing = self._model.get(record.key)
        call = self._store.put("t", record, durable=durable, fence=fence)
        if record.version != (standing.record.version if standing else 0) or (
            fence is not None and fence != (standing.fence if standing else None)
        ):
            with pytest.raises(Conflict):
                self._run(call)
            return
        written = self._run(call)
        assert written == msgspec.structs.replace(record, version=record.version + 1)
        kept = standing or Kept(written)
        kept.record = written
        self._model[record.key] = kept
        if not lives:
            self._wait()
            del self._model[record.key]

    @rule(key=_KEYS)
    def delete(self, key):
        assert self._run(self._store.delete("t", key)) == (self._model.pop(key, None) is not None)

    @rule(limit=st.integers(1, 4), short=st.booleans())
    def claim(self, limit, short):
        now = self._run(self._store.now())
        due = [kept for kept in self._model.values() if kept.record.due > 0 and self._claimable(kept) <= now]
        due.sort(key=lambda kept: (self._claimable(kept), kept.record.key))
        claims = self._run(
            self._store.claim_due("t", limit=limit, lease_seconds=_MOMENT if short else 1000.0)
        )

        assert [claim.record for claim in claims] == [kept.record for kept in due[:limit]]
        assert len({claim.fence for claim in claims} & set(self._fences)) == 0
        for claim, kept in zip(claims, due, strict=False):
            kept.fence, kept.free = claim.fence, claim.until
            self._fences.append(claim.fence)
        self._wait()

    @precondition(lambda self: self._fences)
    @rule(data=st.data(), key=_KEYS, due=_DUES)
    def release(self, data, key, due):
        fence = data.draw(st.sampled_from(self._fences))
        self._run(self._store.release("t", key, fence, due=due))
        kept = self._model.get(key)
        if kept and kept.fence == fence:
            version = kept.record.version + 1
            kept.record = msgspec.structs.replace(kept.record, due=due, version=version)
            kept.fence, kept.free = None, 0.0

    @rule(owner=_OWNERS, newest_first=st.booleans(), limit=st.integers(1, 3), after=st.none() | _KEYS)
    def list(self, owner, newest_first, limit, after):
        records = [kept.record for kept in self._model.values() if owner and kept.record.owner == owner]
        records.sort(key=lambda record: (record.order, record.key.encode()), reverse=newest_first)
        if after is not None:
            places = [place for place, record in enumerate(records) if record.key == after]
            records = records[places[0] + 1 :] if places else []
        page = self._store.list("t", owner, after=after, limit=limit, newest_first=newest_first)

        assert [*self._run(page)] == records[:limit]

    @rule(key=_KEYS)
    def get(self, key):
        kept = self._model.get(key)
        assert self._run(self._store.get("t", key)) == (kept.record if kept else None)

    @invariant()
    def the_table_is_the_model(self):
        found = {record.key: record for record in self._run(self._store.scan("t"))}
        assert found == {key: kept.record for key, kept in self._model.items()}

    def _run(self, call):
        return self._runner.run(call)

    def _wait(self) -> None:
        self._run(asyncio.sleep(2 * _MOMENT))

    @staticmethod
    def _claimable(kept: Kept) -> float:
        return max(kept.record.due, kept.free) if kept.record.due else math.inf


@pytest.mark.parametrize("backend", ["memory", "sqlite", "valkey"])
def test_a_store_is_a_dict_with_times(backend, request, tmp_path):
    opened = 0

    async def open_store():
        nonlocal opened
        opened += 1
        if backend == "valkey":
            return ValkeyStore(ValkeyServer(request.getfixturevalue("valkey_process").url))
        return await SqliteStore.open(*[str(tmp_path / f"{opened}.db")] * (backend == "sqlite"))

    def machine() -> StoreMachine:
        if backend == "valkey":
            request.getfixturevalue("valkey_process").ask("FLUSHALL")
        return StoreMachine(open_store)

    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=25,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )
