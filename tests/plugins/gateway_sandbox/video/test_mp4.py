"""Films are whole MP4 files: boxes, offsets, durations, tags, and pictures that decode."""

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gateway_sandbox.video import Mp4Error, film_mp4, wrap_avif
from gateway_sandbox.video.boxes import Box, BoxError, parse_boxes, payload_start
from gateway_sandbox.video.film import _avif, _play


@pytest.fixture(scope="module")
def avif():
    pictures = [Image.new("RGB", (64, 48), (40 * at, 100, 255 - 40 * at)) for at in range(6)]
    out = io.BytesIO()
    pictures[0].save(out, "AVIF", save_all=True, append_images=pictures[1:], duration=100, speed=10)
    return out.getvalue()


@pytest.fixture(scope="module")
def film():
    return film_mp4("мост over the river", 7, (160, 90))


def moov(data):
    return next(box for box in parse_boxes(data) if box.kind == b"moov")


def sample_bytes(data):
    """The first sample, found as a player finds it."""
    table = moov(data).find(b"trak", b"mdia", b"minf", b"stbl")
    offset = struct.unpack_from(">I", table.find(b"stco").payload, 8)[0]
    size = struct.unpack_from(">I", table.find(b"stsz").payload, 12)[0]
    return data[offset : offset + size]


def test_a_film_begins_as_players_want_it(film):
    assert [box.kind for box in parse_boxes(film)] == [b"ftyp", b"moov", b"mdat"]
    assert parse_boxes(film)[0].payload[:4] == b"isom"
    assert b"av01" in parse_boxes(film)[0].payload


def test_the_track_is_a_video_of_finite_length(film):
    header = moov(film).find(b"mvhd").payload
    scale, duration = struct.unpack_from(">IQ", header, 20)
    assert 2.5 <= duration / scale <= 3.5
    track = moov(film).find(b"trak")
    assert struct.unpack_from(">Q", track.find(b"tkhd").payload, 28)[0] == duration
    assert track.find(b"mdia", b"hdlr").payload[8:12] == b"vide"
    assert track.find(b"edts") is None


def test_the_offsets_point_at_the_same_samples(avif):
    assert sample_bytes(wrap_avif(avif, title="a", comment="b")) == sample_bytes(avif)
    assert payload_start(avif, b"mdat") != payload_start(wrap_avif(avif, title="a", comment="b"), b"mdat")


def test_the_prompt_is_in_the_tags(film):
    tags = moov(film).find(b"udta", b"meta").payload
    assert "мост over the river".encode() in tags


def test_the_samples_are_those_of_an_avif_that_decodes_and_moves(film):
    avif = _avif(_play("мост over the river", 7, (160, 90)))
    assert sample_bytes(film) == sample_bytes(avif)
    assert next(bytes(box) for box in parse_boxes(film) if box.kind == b"mdat") in avif
    pictures = Image.open(io.BytesIO(avif))
    assert (pictures.n_frames, pictures.size) == (36, (160, 90))
    first = pictures.convert("RGB").tobytes()
    pictures.seek(35)
    assert pictures.convert("RGB").tobytes() != first


def test_equal_seeds_give_equal_samples():
    one, other = (film_mp4("sea", 3, (96, 54)) for _ in range(2))
    assert sample_bytes(one) == sample_bytes(other)


def test_a_source_picture_is_what_moves():
    out = io.BytesIO()
    Image.new("RGB", (200, 100), (200, 10, 10)).save(out, "PNG")
    assert sample_bytes(film_mp4("x", 1, (96, 54), out.getvalue())) != sample_bytes(
        film_mp4("x", 1, (96, 54))
    )
    assert film_mp4("x", 1, (96, 54), b"no picture")[4:8] == b"ftyp"


def test_one_picture_is_no_film():
    out = io.BytesIO()
    Image.new("RGB", (16, 16)).save(out, "AVIF")
    with pytest.raises(Mp4Error):
        wrap_avif(out.getvalue(), title="", comment="")


@given(st.binary(max_size=200))
def test_garbage_is_refused(data):
    with pytest.raises(Mp4Error):
        wrap_avif(data, title="", comment="")


KINDS = st.binary(min_size=4, max_size=4).filter(
    lambda kind: kind not in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"dinf", b"udta")
)
LEAVES = st.builds(Box, KINDS, st.binary(max_size=40))
TREES = st.recursive(
    LEAVES,
    lambda inner: st.builds(
        lambda kind, boxes: Box(kind, children=tuple(boxes)),
        st.sampled_from([b"moov", b"trak"]),
        st.lists(inner, max_size=3),
    ),
    max_leaves=6,
)


@given(st.lists(TREES, max_size=4))
def test_boxes_come_back_as_they_went(boxes):
    assert parse_boxes(b"".join(map(bytes, boxes))) == boxes


@given(TREES, st.integers(0, 200))
def test_a_box_cut_short_is_refused(box, cut):
    whole = bytes(box)
    if 0 < cut < len(whole):
        with pytest.raises(BoxError):
            parse_boxes(whole[:cut])


def test_large_and_open_sizes_are_read():
    large = struct.pack(">I4sQ", 1, b"mdat", 20) + b"abcd"
    endless = struct.pack(">I4s", 0, b"mdat") + b"rest"
    assert parse_boxes(large + endless) == [Box(b"mdat", b"abcd"), Box(b"mdat", b"rest")]
