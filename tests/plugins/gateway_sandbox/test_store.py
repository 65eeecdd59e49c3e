"""What the store keeps, over a restart and through an error."""

import sqlite3

import pytest

from gateway_sandbox.records import Chat, Message
from gateway_sandbox.store import Store

pytestmark = pytest.mark.anyio


def chat(id_="c1", owner="alice", created=1.0, mode="normal"):
    return Chat(id=id_, owner=owner, created=created, title="t", model="m", chat_type="t2t", mode=mode)


def message(id_, chat_id="c1", created=1.0, role="user"):
    return Message(
        id=id_,
        owner="alice",
        created=created,
        chat_id=chat_id,
        parent_id=None,
        role=role,
        content="привет",
        chat_type="t2t",
        model="m",
    )


@pytest.fixture
async def store():
    store = Store(None)
    await store.open()
    yield store
    await store.aclose()


async def test_records_come_back_as_they_went(store):
    await store.put(chat(), message("m1"))
    assert await store.get(Chat, "c1") == chat()
    assert await store.get(Message, "m1") == message("m1")
    assert await store.get(Chat, "m1") is None


async def test_another_owner_sees_nothing(store):
    await store.put(chat())
    assert await store.get(Chat, "c1", "bob") is None
    assert await store.find(Chat, owner="bob") == []


async def test_order_is_by_time_then_by_arrival(store):
    await store.put(message("late", created=2.0), message("b"), message("a"))
    assert [found.id for found in await store.find(Message, group="c1")] == ["b", "a", "late"]


async def test_counting_by_label_and_time(store):
    await store.put(message("m1"), message("m2", created=5.0), message("m3", role="assistant", created=5.0))
    assert await store.count(Message, "alice", "user:t2t", 0.0) == 2
    assert await store.count(Message, "alice", "user:t2t", 3.0) == 1


async def test_deleting_a_chat_takes_its_messages_and_no_others(store):
    await store.put(chat(), chat("c2"), message("m1"), message("m2", "c2"))
    await store.delete_chat("c1")
    assert [found.id for found in await store.find(Chat)] == ["c2"]
    assert [found.id for found in await store.find(Message)] == ["m2"]


async def test_a_file_is_read_after_a_restart(tmp_path):
    path = str(tmp_path / "s.db")
    for expected in (None, b"bytes"):
        store = Store(path)
        await store.open()
        assert await store.read_blob("x") == expected
        await store.write_blob("x", b"bytes", chat())
        assert await store.fact("name", str(expected)) == "None"
        await store.aclose()


async def test_what_was_asked_for_soon_is_written_before_the_close(tmp_path):
    path = str(tmp_path / "s.db")
    store = Store(path)
    await store.open()
    store.put_soon(chat())
    await store.aclose()
    again = Store(path)
    await again.open()
    assert await again.get(Chat, "c1") == chat()
    await again.aclose()


async def test_a_failing_write_leaves_nothing_half_done(store):
    with pytest.raises(sqlite3.ProgrammingError):
        await store.write_blob("x", object(), chat())
    assert await store.get(Chat, "c1") is None
    await store.put(chat())


async def test_the_journal_forgets_the_oldest(store):
    for at in range(1000):
        await store.append(str(at), 10)
    entries = await store.entries(0, 5000)
    assert [text for _, text in entries] == [str(at) for at in range(990, 1000)]


async def test_a_closed_store_says_so():
    store = Store(None)
    with pytest.raises(RuntimeError, match="not open"):
        await store.get(Chat, "c1")
    await store.aclose()
