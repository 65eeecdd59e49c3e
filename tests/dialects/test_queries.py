import pytest

from gateway.dialects.queries import MAX_PAGE, ListQuery, read_list_query, require_film
from gateway.generation.errors import InvalidRequest


def test_an_empty_query_is_the_first_page():
    assert read_list_query({"after": "", "limit": ""}) == ListQuery()
    assert ListQuery().order == "desc"


def test_everything_that_can_be_asked_for():
    query = {
        "after": "t1",
        "limit": "5",
        "order": "asc",
        "status": "failed",
        "purpose": "vision",
        "other": "1",
    }
    assert read_list_query(query) == ListQuery("t1", 5, "asc", "failed", "vision")


def test_a_page_has_an_end():
    assert read_list_query({"limit": "10000"}).limit == MAX_PAGE


@pytest.mark.parametrize(
    ("name", "value"), [("limit", "0"), ("limit", "x"), ("limit", "1.5"), ("order", "up"), ("status", "done")]
)
def test_the_parameter_at_fault_is_named(name: str, value: str):
    with pytest.raises(InvalidRequest) as caught:
        read_list_query({name: value})
    assert caught.value.param == name


def test_only_the_film_itself_exists():
    require_film({})
    require_film({"variant": "video"})
    with pytest.raises(InvalidRequest) as caught:
        require_film({"variant": "spritesheet"})
    assert caught.value.param == "variant"
