"""What only a server can do: freeze, restart, lose its memory, fail over, or sync too late."""

import asyncio
import time
from contextlib import aclosing, asynccontextmanager, suppress

import msgspec
import pytest

from gateway.state.store import Conflict, Record, Slot, StoreUnavailable
from gateway.state.valkey import ValkeyLeases, ValkeyServer, ValkeyStore
from tests.state.valkey_process import ALWAYS, Gate, ValkeyProcess, free_port, wait_for
from tests.state.watching import hinted, listening, next_key

pytestmark = pytest.mark.anyio

RECORD = Record(key="a", value=b"1")


@pytest.fixture
def start(tmp_path):
    """Return a function that starts a server of our own, to be broken."""
    running = []

    def start_one(**options: str) -> ValkeyProcess:
        running.append(ValkeyProcess(tmp_path / str(len(running)), **options))
        return running[-1]

    yield start_one
    for process in running:
        process.thaw()
        process.kill()


@asynccontextmanager
async def store_at(url: str):
    store = ValkeyStore(ValkeyServer(url))
    try:
        yield store
    finally:
        await store.aclose()


async def eventually(call, seconds: float = 5.0):
    """Repeat until the store answers again: nothing is restarted on our side."""
    async with asyncio.timeout(seconds):
        while True:
            with suppress(StoreUnavailable):
                return await call()
            await asyncio.sleep(0.05)


async def refusal(call) -> tuple[str, float]:
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable) as refused:
        await call
    return str(refused.value), time.monotonic() - begun


async def test_a_frozen_server_costs_little_time_then_none_and_is_found_again(start):
    process = start(**ALWAYS)
    async with store_at(process.url) as store:
        standing = await store.put("t", RECORD)
        process.freeze()
        why, _ = await refusal(store.get("t", "a"))
        assert why.endswith("does not answer: nothing came within 0.25 s")
        waits = [(await refusal(store.get("t", "a")))[1] for _ in range(6)]
        assert max(waits) < 0.6
        assert max(waits[3:]) < 0.05
        await refusal(store.check_durable())
        process.thaw()

        assert await eventually(lambda: store.get("t", "a")) == standing
        await eventually(store.check_durable)


async def test_a_frozen_server_makes_a_write_once_at_most(start):
    process = start(**ALWAYS)
    async with store_at(process.url) as store:
        standing = await store.put("t", RECORD)
        process.freeze()
        await refusal(store.put("t", msgspec.structs.replace(standing, value=b"late")))
        process.thaw()
        found = await eventually(lambda: store.get("t", "a"))

        assert (found.value, found.version) in [(b"1", 1), (b"late", 2)]
        with pytest.raises(Conflict):
            await store.put("t", msgspec.structs.replace(standing, version=3 - found.version))


async def test_many_callers_of_a_frozen_server_do_not_wait_in_a_row(start):
    process = start(**ALWAYS)
    async with store_at(process.url) as store:
        await store.get("t", "a")
        process.freeze()
        begun = time.monotonic()
        answers = await asyncio.gather(*(store.get("t", "a") for _ in range(500)), return_exceptions=True)

        assert time.monotonic() - begun < 1.5
        assert {type(answer) for answer in answers} == {StoreUnavailable}


async def test_a_server_that_restarts_empty_has_nothing_and_works(start):
    process = start()
    async with store_at(process.url) as store, aclosing(store.watch("t")) as hints:
        server = ValkeyServer(process.url)
        leases = ValkeyLeases(server)
        standing = await store.put("t", RECORD)
        await leases.acquire([Slot("s", 1)], ttl=60)
        await listening(hints, store)
        process.kill()
        await refusal(store.get("t", "a"))
        process.start()

        assert await eventually(lambda: store.get("t", "a")) is None
        with pytest.raises(Conflict):
            await store.put("t", standing)
        assert (await store.put("t", RECORD)).version == 1
        assert await eventually(lambda: leases.acquire([Slot("s", 1)], ttl=60)) is not None
        await hinted("", hints)
        await server.aclose()


async def test_a_durable_write_survives_a_kill_of_the_server(start):
    process = start(**ALWAYS)
    async with store_at(process.url) as store:
        written = await store.put("t", RECORD, durable=True)
        process.kill()
        process.start()

        assert await eventually(lambda: store.get("t", "a")) == written


@pytest.mark.parametrize(
    "options", [{}, {"appendonly": "yes"}, {"appendonly": "yes", "appendfsync": "everysec"}]
)
async def test_a_server_that_syncs_too_late_takes_no_durable_write(start, options):
    process = start(**options)
    async with store_at(process.url) as store:
        for call in (store.check_durable(), store.put("t", RECORD, durable=True)):
            reason, _ = await refusal(call)
            assert "appendfsync always" in reason or "appendonly is disabled" in reason
        assert (await store.put("t", Record(key="b", value=b"1"))).version == 1

        process.ask("CONFIG SET appendonly yes")
        process.ask("CONFIG SET appendfsync always")
        await eventually(store.check_durable)
        assert (await store.put("t", Record(key="c", value=b"1"), durable=True)).version == 1


async def test_a_replica_must_keep_what_is_durable(start):
    master, replica = _start_pair(start)
    async with store_at(master.url) as store:
        await store.check_durable()
        await store.put("t", RECORD, durable=True)
        replica.freeze()
        reason, seconds = await refusal(store.put("t", Record(key="b", value=b"1"), durable=True))
        assert "no replica" in reason
        assert seconds == pytest.approx(2.0, abs=0.4)
        assert (await store.put("t", Record(key="c", value=b"1"))).version == 1
        replica.thaw()

        assert (await store.put("t", Record(key="d", value=b"1"), durable=True)).version == 1
        replica.kill()
        wait_for(lambda: b"connected_slaves:0" in master.ask("INFO replication"))
        assert "no replica" in (await refusal(store.check_durable()))[0]


async def test_a_failover_keeps_records_and_never_repeats_a_fence(start):
    master, replica = _start_pair(start)
    async with Gate(master.port) as gate, store_at(f"valkey://127.0.0.1:{gate.port}") as store:
        await store.check_durable()
        written = await store.put("t", Record(key="a", value=b"1", due=1.0), durable=True)
        (first,) = await store.claim_due("t", limit=1, lease_seconds=0.01)
        gate.target = replica.port
        gate.cut()
        assert await eventually(lambda: store.get("t", "a")) == written
        assert "is a replica" in (await refusal(store.put("t", written)))[0]
        assert "is a replica" in (await refusal(store.check_durable()))[0]
        master.kill()
        replica.ask("REPLICAOF NO ONE")
        replica.ask("DEL gateway:{t}:fence")  # as if the last claim had not been copied yet

        (second,) = await eventually(lambda: store.claim_due("t", limit=1, lease_seconds=60))
        assert second.fence > first.fence
        with pytest.raises(Conflict):
            await store.put("t", written, fence=first.fence)
        assert (await store.put("t", written, fence=second.fence)).version == 2
        assert "no replica" in (await refusal(store.check_durable()))[0]
        async with aclosing(store.watch("t")) as hints:
            assert await anext(hints) == ""


async def test_a_server_may_forget_its_scripts(start):
    process = start(**ALWAYS)
    async with store_at(process.url) as store:
        for n, durable in enumerate([False, True]):
            process.ask("SCRIPT FLUSH")
            assert (await store.put("t", Record(key=str(n), value=b"1"), durable=durable)).version == 1


async def test_every_key_of_a_decision_is_in_one_slot(start):
    process = start(**{"cluster-enabled": "yes", "cluster-port": str(free_port())})
    process.ask("CLUSTER ADDSLOTSRANGE 0 16383")
    wait_for(lambda: b"cluster_state:ok" in process.ask("CLUSTER INFO"))
    server = ValkeyServer(process.url)
    leases = ValkeyLeases(server)
    async with store_at(process.url) as store:
        for n in range(20):
            await store.put("t", Record(key=str(n), value=b"1", owner=f"o{n}", due=1.0))
        claims = await store.claim_due("t", limit=20, lease_seconds=60)
        held = await leases.acquire([Slot("a", 0), Slot("b", 1)], ttl=60)

        assert (len(claims), held.slot) == (20, "b")
        assert len(await store.list("t", "o3")) == 1
        assert await store.delete("t", "3")
    await server.aclose()


async def test_a_server_that_is_not_there_is_waited_for(start):
    process = start()
    process.kill()
    async with store_at(process.url) as store:
        assert "does not answer" in (await refusal(store.put("t", RECORD)))[0]
        process.start()
        assert (await eventually(lambda: store.put("t", RECORD))).version == 1


async def test_a_wrong_password_is_a_refusal_that_does_not_show_it(start):
    process = start(requirepass="right")
    async with store_at(process.url.replace("//", "//:hunter2@")) as store:
        reason, _ = await refusal(store.get("t", "a"))
        assert str(process.port) in reason
        assert "hunter2" not in reason
    async with store_at(process.url.replace("//", "//:right@")) as store:
        assert await store.get("t", "a") is None


async def test_a_hint_crosses_replicas_within_100_ms(valkey):
    async with store_at(valkey.url) as one, store_at(valkey.url) as two, aclosing(two.watch("t")) as hints:
        await listening(hints, one)
        begun = time.monotonic()
        await one.put("t", RECORD)

        assert await next_key(hints) == "a"
        assert time.monotonic() - begun < 0.1


async def test_watchers_read_again_every_two_seconds(valkey):
    async with store_at(valkey.url) as store, aclosing(store.watch("t")) as hints:
        await listening(hints, store)

        await hinted("", hints, 2.5)


async def test_a_channel_that_was_cut_is_opened_again(start):
    process = start()
    async with (
        Gate(process.port) as gate,
        store_at(f"valkey://127.0.0.1:{gate.port}") as store,
        aclosing(store.watch("t")) as hints,
    ):
        await listening(hints, store)
        gate.cut()
        await hinted("", hints, 1.5)
        await asyncio.sleep(0.3)
        await eventually(lambda: store.put("t", RECORD))
        await hinted("a", hints)


async def test_slots_leave_nothing_behind(valkey):
    server = ValkeyServer(valkey.url)
    leases = ValkeyLeases(server)
    for n in range(10):
        await leases.acquire([Slot(f"s{n}", 2)], ttl=0.05)
        await leases.acquire([Slot(f"s{n}", 2)], ttl=0.01)
    await server.aclose()

    wait_for(lambda: valkey.ask("DBSIZE") == b":0\r\n")


async def test_expired_records_are_buried_by_later_writes(valkey):
    async with store_at(valkey.url) as store:
        soon = await store.now() + 0.05
        for n in range(40):
            await store.put("t", Record(key=str(n), value=b"1", owner=f"o{n}", due=5.0, expires=soon))
        await asyncio.sleep(0.1)
        for _ in range(3):
            await store.delete("t", (await store.put("t", Record(key="live", value=b"1"))).key)

        assert valkey.ask("DBSIZE") == b":0\r\n"


def _start_pair(start) -> tuple[ValkeyProcess, ValkeyProcess]:
    """Start a master and a replica that is in step with it."""
    options = {"repl-diskless-sync-delay": "0", "repl-ping-replica-period": "1"}
    master = start(**ALWAYS, **options)
    replica = start(**ALWAYS, **options, replicaof=f"127.0.0.1 {master.port}")
    wait_for(lambda: b"state=online" in master.ask("INFO replication"))
    wait_for(master.is_copied)
    return master, replica
