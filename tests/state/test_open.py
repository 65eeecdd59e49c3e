"""The scheme of the URL chooses the store; what is no store is refused with a sentence."""

import pytest

from gateway.state.open import open_store
from gateway.state.store import Record, Slot

pytestmark = pytest.mark.anyio


async def test_memory_starts_empty_each_time():
    for _ in range(2):
        store, leases = await open_store("memory://")
        assert (await store.put("t", Record(key="a", value=b"1"))).version == 1
        assert await leases.acquire([Slot("a", 1)], ttl=60) is not None
        await store.aclose()


@pytest.mark.parametrize("name", ["state.db", "with space.db", "täglich.db"])
async def test_a_file_is_found_again(tmp_path, name):
    url = f"sqlite:///{tmp_path}/{name.replace(' ', '%20')}"
    store, _ = await open_store(url)
    written = await store.put("t", Record(key="a", value=b"1"))
    await store.aclose()

    store, _ = await open_store(url)
    assert await store.get("t", "a") == written
    assert (tmp_path / name).exists()
    await store.aclose()


async def test_a_relative_path_starts_in_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store, _ = await open_store("sqlite:///./state.db")
    await store.check_durable()
    await store.aclose()

    assert (tmp_path / "state.db").exists()


@pytest.mark.parametrize(
    "url", ["", "sqlite://", "sqlite:///", "sqlite:/x", "memory://x", "mysql://h/d", "/a.db"]
)
async def test_what_is_no_store_is_refused(url):
    with pytest.raises(ValueError, match=r"state\.url"):
        await open_store(url)
