"""Pictures: exact pixels, the prompt inside, equal for equal seeds, many scenes."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gateway_sandbox.art import Scene, paint_edit, paint_png
from gateway_sandbox.art.palettes import mentions

PROMPTS = [
    "mountains at sunset",
    "a sailing boat",
    "aurora",
    "city at night",
    "silk dream",
    "jazz",
    "",
    "кот на окне",
    "日出",
]


def png(color=(220, 40, 40), size=(80, 60)):
    out = io.BytesIO()
    Image.new("RGB", size, color).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("size", [(320, 180), (180, 320), (64, 64)])
def test_every_scene_fits_every_shape(prompt, size):
    picture = Image.open(io.BytesIO(paint_png(prompt, 5, size)))
    assert picture.size == size
    assert picture.mode == "RGB"
    assert picture.text["prompt"] == prompt
    assert len(set(picture.get_flattened_data())) > 100


def test_equal_seeds_give_equal_pictures_and_others_do_not():
    pictures = [paint_png("hills", seed, (160, 90)) for seed in (1, 1, 2)]
    assert pictures[0] == pictures[1] != pictures[2]


@pytest.mark.parametrize("prompt", ["mountains", "sea", "aurora", "city", "silk", "jazz"])
def test_every_scene_moves(prompt):
    scene = Scene(prompt, 3, (160, 90))
    assert scene.paint(0.0).tobytes() == scene.paint(0.0).tobytes()
    assert scene.paint(0.0).tobytes() != scene.paint(1.0).tobytes()


@given(st.text(), st.integers(0, 2**56))
@settings(max_examples=25)
def test_any_prompt_becomes_a_picture(prompt, seed):
    assert Scene(prompt, seed, (32, 24)).paint(seed % 3).size == (32, 24)


def test_an_edit_keeps_something_of_its_source():
    edits = [paint_edit("winter", 1, (96, 54), png(color)) for color in ((220, 40, 40), (40, 40, 220))]
    reds = [Image.open(io.BytesIO(edit)).resize((1, 1)).getpixel((0, 0))[0] for edit in edits]
    assert reds[0] > reds[1]


def test_an_edit_of_no_picture_is_a_picture_all_the_same():
    assert Image.open(io.BytesIO(paint_edit("winter", 1, (96, 54), b"garbage"))).size == (96, 54)


def test_a_prompt_mentions_beginnings_of_words():
    assert mentions("A Cathedral of cats", "cat")
    assert not mentions("the location", "cat")
    assert mentions("в лесу", "лес")
