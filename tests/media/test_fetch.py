"""Fetching from strangers: allowed hosts, public addresses, no redirect, ranges in every form."""

import pytest

from gateway.generation.errors import GatewayError, InvalidAnswer, UpstreamError
from gateway.media.blob import ByteRange
from gateway.media.fetch import Fetcher
from gateway.transport import Transport
from tests.media.conftest import FILM

pytestmark = pytest.mark.anyio


@pytest.fixture
def fetcher(transport):
    return Fetcher(transport, transport, ("127.0.0.1",), 2**20)


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://cdn.qwenlm.ai/a.png", True),
        ("https://CDN.QWENLM.AI/a.png", True),
        ("https://a.b.qwenlm.ai/a.png", True),
        ("https://qwenlm.ai/a.png", False),
        ("https://evilqwenlm.ai/a.png", False),
        ("https://cdn.qwenlm.ai.evil.example/a.png", False),
        ("https://cdn.qwenlm.ai@evil.example/a.png", False),
        ("https://evil.example/?cdn.qwenlm.ai", False),
        ("https://evil.example#.qwenlm.ai", False),
        ("file:///etc/passwd", False),
        ("gopher://cdn.qwenlm.ai/", False),
        ("//cdn.qwenlm.ai/a.png", False),
        ("http://[::1", False),
        ("", False),
    ],
)
async def test_only_allowed_hosts(transport, url, allowed):
    assert Fetcher(transport, transport, ("*.qwenlm.ai",), 2**20).allows(url) is allowed


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/a", "http://169.254.169.254/latest", "http://[::1]:9/"])
async def test_private_addresses_are_refused_even_on_an_allowed_name(url):
    public = Transport(public_only=True)
    with pytest.raises(UpstreamError):
        await Fetcher(public, public, ("*",), 2**20).open(url)
    assert public.open_connections == 0
    await public.aclose()


async def test_nothing_personal_is_sent(fetcher, host):
    await (await fetcher.open(f"{host.url}/film.mp4")).read()
    _, headers = host.asked[0]
    assert not {"authorization", "cookie", "referer"} & headers.keys()


@pytest.mark.parametrize("path", ["/moved.mp4", "/missing.mp4"])
async def test_a_redirect_or_an_error_is_no_file(fetcher, host, path):
    with pytest.raises(UpstreamError):
        await fetcher.open(host.url + path)
    assert len(host.asked) == 1, "a redirect was followed"


async def test_a_page_is_no_medium(fetcher, host):
    with pytest.raises(InvalidAnswer):
        await fetcher.open(f"{host.url}/page.mp4")


async def test_what_is_too_large_ends_with_an_error(transport, host):
    blob = await Fetcher(transport, transport, ("*",), 1000).open(f"{host.url}/unsized.mp4")
    with pytest.raises(GatewayError):
        await blob.read()


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (None, FILM),
        (ByteRange(0, 10), FILM[:10]),
        (ByteRange(100), FILM[100:]),
        (ByteRange(-7), FILM[-7:]),
        (ByteRange(10_000, 99_999), FILM[10_000:]),
    ],
)
@pytest.mark.parametrize("path", ["/film.mp4", "/deaf.mp4", "/unsized.mp4"])
async def test_a_piece_is_what_it_says_it_is(fetcher, host, part, expected, path):
    blob = await fetcher.open(host.url + path, part=part)
    data = await blob.read()
    if blob.partial:
        assert data == FILM[blob.start : blob.end] == expected
        assert blob.size == len(FILM)
    else:
        assert data == FILM
    assert path != "/film.mp4" or data == expected


async def test_the_length_is_told_only_where_it_is_known(fetcher, host):
    assert (await fetcher.open(f"{host.url}/film.mp4")).size == len(FILM)
    assert (await fetcher.open(f"{host.url}/unsized.mp4")).size is None


async def test_a_range_behind_the_end_keeps_its_status(fetcher, host):
    with pytest.raises(GatewayError) as caught:
        await fetcher.open(f"{host.url}/film.mp4", part=ByteRange(10**9))
    assert caught.value.status == 416


async def test_a_reader_who_leaves_closes_the_connection(transport, fetcher, host):
    blob = await fetcher.open(f"{host.url}/film.mp4")
    await anext(blob.chunks)
    await blob.aclose()
    assert transport.open_connections <= transport.idle_connections


async def test_a_blob_that_nobody_reads_can_be_closed(transport, fetcher, host):
    blob = await fetcher.open(f"{host.url}/film.mp4")
    await blob.aclose()
    assert transport.open_connections <= transport.idle_connections
