"""What is kept, found again, and what cannot be had by a trick."""

import asyncio

import pytest

from gateway.generation.errors import GatewayError, InvalidAnswer, NotFound, StorageUnavailable
from gateway.generation.events import Media
from gateway.media.archive import Archive, open_objects
from gateway.media.blob import ByteRange
from gateway.media.files import FileShelf
from gateway.state.sqlite import SqliteStore
from tests.media.conftest import FILM

pytestmark = pytest.mark.anyio

DATA = bytes(range(200))


async def kept(archive: Archive) -> Media:
    return await archive.keep(Media("image", data=DATA, media_type="image/png"))


async def test_what_is_kept_is_read_back_unchanged(archive):
    media = await kept(archive)
    assert media.url.startswith("/media/")
    assert media.url.endswith(".png")
    blob = await archive.open(media)
    assert (blob.media_type, blob.size, blob.partial) == ("image/png", 200, False)
    assert await blob.read() == DATA


async def test_public_media_stay_where_they_are(archive):
    media = Media("image", "https://elsewhere.example/a.png")
    assert await archive.keep(media) is media


async def test_a_private_medium_is_fetched_and_kept(archive, host):
    media = await archive.keep(Media("video", f"{host.url}/film.mp4", private=True))
    assert not media.private
    assert await (await archive.open(media)).read() == FILM


async def test_a_medium_of_unknown_length_is_kept_whole(archive, host):
    media = await archive.keep(Media("video", f"{host.url}/unsized.mp4", private=True))
    assert await (await archive.open(media)).read() == FILM


async def test_what_is_kept_is_not_kept_twice(archive):
    media = await kept(archive)
    assert await archive.keep(media) is media


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (ByteRange(0, 10), DATA[:10]),
        (ByteRange(10), DATA[10:]),
        (ByteRange(-5), DATA[-5:]),
        (ByteRange(-500), DATA),
        (ByteRange(199, 5000), DATA[199:]),
        (ByteRange(0, 200), DATA),
    ],
)
@pytest.mark.parametrize("stored", [True, False])
async def test_ranges(archive, part, expected, stored):
    media = await kept(archive) if stored else Media("image", data=DATA)
    blob = await archive.open(media, part)
    assert await blob.read() == expected
    assert (blob.end - blob.start, blob.size) == (len(expected), 200)


@pytest.mark.parametrize("part", [ByteRange(200), ByteRange(10**14)])
@pytest.mark.parametrize("stored", [True, False])
async def test_a_range_behind_the_end_is_not_satisfiable(archive, part, stored):
    media = await kept(archive) if stored else Media("image", data=DATA)
    with pytest.raises(GatewayError) as caught:
        await archive.open(media, part)
    assert (caught.value.status, caught.value.code) == (416, "range_not_satisfiable")
    assert caught.value.size == 200


@pytest.mark.parametrize(
    "name",
    [
        "..",
        "../gateway.db",
        "%2e%2e/gateway.db",
        "0" * 32,
        "0" * 32 + ".PNG",
        "0" * 32 + ".png/..",
        "0" * 32 + ".png\x00",
        "0" * 32 + ".png\n",
        "/etc/passwd",
        "0" * 31 + "é.png",
        "0" * 32 + ".png",
    ],
)
async def test_a_name_that_is_no_name_finds_nothing(archive, tmp_path, name):
    (tmp_path / "gateway.db").write_bytes(b"secret")
    with pytest.raises(NotFound):
        await archive.open_name(name)


async def test_a_lost_object_is_not_found_and_deleting_it_is_no_error(archive):
    with pytest.raises(NotFound):
        await archive.open_object("media/none", "image/png")
    await archive.delete("media/none")


async def test_a_store_that_cannot_write_says_so(tmp_path, archive):
    (tmp_path / "media" / "files").write_bytes(b"a file where a folder should be")
    with pytest.raises(StorageUnavailable):
        await archive.put("files/x", DATA)


async def test_a_source_that_breaks_leaves_nothing_behind(tmp_path, archive):
    async def breaking():
        yield DATA
        raise InvalidAnswer("the host hung up")

    with pytest.raises(GatewayError) as caught:
        await archive.put("media/half", breaking())
    assert isinstance(caught.value, InvalidAnswer), "the source's own error must not be lost"
    with pytest.raises(NotFound):
        await archive.open_object("media/half", "image/png")


async def test_a_data_url_from_a_provider_is_refused(archive):
    with pytest.raises(InvalidAnswer):
        await archive.open(Media("image", "data:image/png;base64,AAAA"))


@pytest.mark.parametrize("url", ["ftp://x/y", "", "nonsense"])
def test_a_media_store_must_be_known(url):
    with pytest.raises(ValueError, match="file://folder or s3://"):
        open_objects(url)


@pytest.fixture
async def shelf(archive):
    store = await SqliteStore.open()
    yield FileShelf(store, archive)
    await store.aclose()


@pytest.mark.parametrize("name", ["a b.png", "写真.png", "../../etc/passwd", "x\x00y", "é" * 300])
async def test_a_files_name_is_only_shown(shelf, tmp_path, name):
    file = await shelf.add("alice", DATA, name=name, size=200, media_type="image/png")
    assert (await shelf.get("alice", file.id)).name == name
    assert await (await shelf.open("alice", file.id)).read() == DATA
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.name for path in written] == [file.id]


async def test_files_have_owners(shelf):
    file = await shelf.add("alice", DATA, name="a", size=200, media_type="image/png")
    for act in (shelf.get, shelf.open, shelf.delete):
        with pytest.raises(NotFound):
            await act("bob", file.id)
    assert not (await shelf.list("bob", after=None, limit=5, newest_first=True)).items
    await shelf.delete("alice", file.id)
    with pytest.raises(NotFound):
        await shelf.get("alice", file.id)


async def test_files_are_listed_in_pages(shelf):
    ids = [(await shelf.add("a", b"x", name=str(n), size=1, media_type="text/plain")).id for n in range(5)]
    seen, after = [], None
    while True:
        page = await shelf.list("a", after=after, limit=2, newest_first=False)
        seen += [file.id for file in page.items]
        if not page.more:
            break
        after = seen[-1]
    assert seen == ids


async def test_keeping_ends_by_its_deadline(archive, host, monkeypatch):
    monkeypatch.setattr("gateway.media.archive._KEEP_SECONDS", 0.1)
    with pytest.raises(StorageUnavailable, match="too long"):
        await archive.keep(Media("video", f"{host.url}/slow.mp4", private=True))


async def test_who_leaves_while_a_file_is_kept_leaves_nothing_open(archive, host, transport):
    keeping = asyncio.create_task(archive.keep(Media("video", f"{host.url}/slow.mp4", private=True)))
    while not host.asked:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping
    assert transport.open_connections == transport.idle_connections == 0
