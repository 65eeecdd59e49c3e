"""Files on their way to a provider: once per account, unchanged, of their real kind."""

import base64

import pytest

from gateway.generation.errors import InvalidRequest, NotFound
from gateway.generation.requests import GenerationRequest, MediaPart, Message, TextPart
from tests.dispatch.scripted import Filing, Upstream, house

pytestmark = pytest.mark.anyio


def show(part: MediaPart) -> GenerationRequest:
    return GenerationRequest(
        chat_type="t2t", model="m", messages=(Message("user", (TextPart("look"), part)),)
    )


def given(upstream: Upstream) -> MediaPart:
    part = upstream.calls[-1][1].messages[-1].content[-1]
    assert isinstance(part, MediaPart)
    return part


@pytest.mark.parametrize(
    ("media_type", "kind"),
    [("image/png", "image"), ("video/mp4", "video"), ("audio/wav", "audio"), ("application/pdf", "file")],
)
@pytest.mark.parametrize("upstream_class", [Upstream, Filing])
async def test_a_bare_id_gets_its_real_kind(tmp_path, media_type, kind, upstream_class):
    upstream = upstream_class()
    async with house(tmp_path, {"a": upstream}) as home:
        file = await home.shelf.add("alice", b"data", name="ü b.bin", size=4, media_type=media_type)
        await home.events(show(MediaPart("file", file_id=file.id)))
        assert (given(upstream).kind, given(upstream).media_type) == (kind, media_type)


async def test_a_file_goes_inline_where_the_provider_keeps_none(tmp_path):
    upstream = Upstream()
    async with house(tmp_path, {"a": upstream}) as home:
        file = await home.shelf.add("alice", b"\x00\xff", name="a.png", size=2, media_type="image/png")
        await home.events(show(MediaPart("image", file_id=file.id)))
        assert given(upstream).url == "data:image/png;base64," + base64.b64encode(b"\x00\xff").decode()


async def test_a_file_is_uploaded_once_per_account(tmp_path):
    upstream = Filing()
    async with house(tmp_path, {"a": upstream}) as home:
        file = await home.shelf.add("alice", b"data", name="a.png", size=4, media_type="image/png")
        pasted = MediaPart("image", url="data:image/png;base64,AAAA")
        for part in (
            MediaPart("image", file_id=file.id),
            pasted,
            MediaPart("image", file_id=file.id),
            pasted,
        ):
            await home.events(show(part))
        assert [data for _, _, data in upstream.files] == [b"data", b"\x00\x00\x00"]


async def test_anothers_file_does_not_exist(tmp_path):
    upstream = Upstream()
    async with house(tmp_path, {"a": upstream}) as home:
        file = await home.shelf.add("bob", b"data", name="a.png", size=4, media_type="image/png")
        for file_id in (file.id, "file-" + "0" * 32, "../../etc/passwd", "\x00"):
            with pytest.raises(NotFound):
                await home.events(show(MediaPart("image", file_id=file_id)))
        assert not upstream.calls


@pytest.mark.parametrize(
    "url", ["data:image/png;base64,%%%", "data:image/png,plain", "data:;base64", "data:"]
)
async def test_a_data_url_that_cannot_be_read_is_the_callers_fault(tmp_path, url):
    async with house(tmp_path, {"a": Filing()}) as home:
        with pytest.raises(InvalidRequest):
            await home.events(show(MediaPart("image", url=url)))
