import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.sizes import RATIOS, nearest_ratio, video_pixels
from gateway.generation.errors import InvalidRequest


@pytest.mark.parametrize(
    ("size", "ratio"),
    [
        (None, ""),
        ("", ""),
        ("auto", ""),
        ("256x256", "1:1"),
        ("512x512", "1:1"),
        ("1024x1024", "1:1"),
        ("1536x1024", "4:3"),
        ("1024x1536", "3:4"),
        ("1792x1024", "16:9"),
        ("1280x720", "16:9"),
        ("1920*1080", "16:9"),
        ("1024x1792", "9:16"),
        ("720X1280", "9:16"),
        ("3:4", "3:4"),
        ("21:9", "16:9"),
        ("99999x1", "16:9"),
    ],
)
def test_a_size_is_its_nearest_ratio(size: str | None, ratio: str):
    assert nearest_ratio(size) == ratio


@given(st.integers(1, 99999), st.integers(1, 99999))
def test_turned_sizes_have_turned_ratios(width: int, height: int):
    ratio, turned = nearest_ratio(f"{width}x{height}"), nearest_ratio(f"{height}x{width}")
    assert ratio in RATIOS
    assert ratio == ":".join(reversed(turned.split(":")))


@given(
    st.text().filter(
        lambda size: not any(char.isdigit() for char in size) and size.strip() not in {"", "auto"}
    )
)
def test_garbage_is_refused(size: str):
    with pytest.raises(InvalidRequest) as caught:
        nearest_ratio(size)
    assert caught.value.param == "size"


@pytest.mark.parametrize("size", ["0x0", "10x", "x10", "-1x1", "1x1x1", "100000x1", "1e3x1"])
def test_what_is_nearly_a_size_is_refused(size: str):
    with pytest.raises(InvalidRequest):
        nearest_ratio(size)


@pytest.mark.parametrize("ratio", RATIOS)
def test_a_video_s_pixels_have_its_ratio(ratio: str):
    assert nearest_ratio(video_pixels(ratio)) == ratio


def test_pixels_stay_pixels_and_the_default_is_a_wide_film():
    assert video_pixels("1920x1080") == "1920x1080"
    assert video_pixels("") == "1280x720"
