import pytest

from gateway.dialects.media_urls import media_lines, media_url
from gateway.generation.events import Media


@pytest.mark.parametrize("base_url", ["http://gw.test", "http://gw.test/"])
def test_our_own_paths_become_addresses(base_url: str):
    media = [Media("image", "/media/a.png"), Media("image", "https://cdn.test/b")]
    assert media_lines(media, base_url) == "http://gw.test/media/a.png\nhttps://cdn.test/b"


def test_bytes_that_were_not_archived_travel_in_the_address():
    assert media_url(Media("image", data=b"x"), "") == "data:image/png;base64,eA=="
    assert media_url(Media("image", data=b"x", media_type="image/webp"), "").startswith("data:image/webp;")
    assert media_url(Media("image", "https://cdn.test/b", data=b"x"), "") == "https://cdn.test/b"
