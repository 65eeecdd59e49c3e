import pytest

from gateway.dialects.base import FormPart
from gateway.dialects.forms import form_fields
from gateway.generation.errors import InvalidRequest


def fields(*pairs: tuple[str, bytes]) -> object:
    return form_fields([FormPart(name, data) for name, data in pairs])


def test_brackets_make_lists_and_objects():
    assert fields(("a", b"1"), ("b[]", b"x"), ("b[]", b"y"), ("c[d]", b"z"), ("c[e]", "ü".encode())) == {
        "a": "1",
        "b": ["x", "y"],
        "c": {"d": "z", "e": "ü"},
    }


def test_files_are_no_fields():
    assert form_fields([FormPart("image", b"\xff", "a.png")]) == {}


@pytest.mark.parametrize(
    "names",
    [
        ("a", "a"),
        ("a", "a[]"),
        ("a[]", "a"),
        ("a", "a[b]"),
        ("a[b]", "a[b]"),
        ("a[b]", "a[]"),
        ("a[]", "a[b]"),
    ],
)
def test_a_field_that_comes_twice_is_refused(names: tuple[str, str]):
    with pytest.raises(InvalidRequest) as caught:
        fields(*((name, b"") for name in names))
    assert caught.value.param == "a"


def test_a_field_that_is_not_utf_8_is_refused():
    with pytest.raises(InvalidRequest) as caught:
        fields(("a", b"\xff"))
    assert caught.value.param == "a"
