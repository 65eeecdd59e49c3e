"""The tree drawn at the top of the module is the tree that the classes make."""

import re

import pytest

from gateway.generation import errors
from gateway.generation.errors import Advice, GatewayError

LINE = re.compile(r"^(?P<indent>[│├└─ ]*)(?P<name>[A-Z]\w+)(?: +(?P<status>\d{3}))?")


def drawn() -> dict[str, tuple[str | None, int | None]]:
    """Read the drawing: name -> (parent's name, status)."""
    tree: dict[str, tuple[str | None, int | None]] = {}
    path: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines()[2:]:
        found = LINE.match(line)
        if found is None:
            continue
        depth = len(found["indent"])
        path = [step for step in path if step[0] < depth]
        status = int(found["status"]) if found["status"] else None
        tree[found["name"]] = (path[-1][1] if path else None, status)
        path.append((depth, found["name"]))
    return tree


def every_class(kind: type[GatewayError] = GatewayError) -> list[type[GatewayError]]:
    return [kind, *(leaf for child in kind.__subclasses__() for leaf in every_class(child))]


CLASSES = [kind for kind in every_class() if kind.__module__ == errors.__name__]


def test_the_drawing_names_every_class_under_its_parent() -> None:
    parents = {name: parent for name, (parent, _) in drawn().items()}
    real = {kind.__name__: kind.__bases__[0].__name__ for kind in CLASSES if kind is not GatewayError}
    assert parents == {"GatewayError": None, **real}


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_the_drawing_tells_the_status(kind: type[GatewayError]) -> None:
    _, status = drawn()[kind.__name__]
    assert status in (None, kind.status)
    assert status is not None or kind.__subclasses__(), "a leaf needs its status in the drawing"


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_each_class_says_what_it_is(kind: type[GatewayError]) -> None:
    assert kind.__doc__
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", kind.code)
    assert 400 <= kind.status < 600
    assert kind.__name__ in errors.__all__


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_what_cannot_be_repeated_is_never_advised(kind: type[GatewayError]) -> None:
    if kind.status < 500 and kind.status != 429:
        assert kind.advice is Advice.NEVER
    if issubclass(kind, errors.AmbiguousSubmit | errors.TaskIdMissing | errors.TaskFailed):
        assert (kind.advice, kind.client_may_retry) == (Advice.NEVER, False)


def test_an_error_carries_what_it_was_given() -> None:
    error = errors.RateLimited("Slow.", code="own", param="n", retry_after=3.0, task_id="t", sent=True)
    told = (str(error), error.message, error.code, error.param, error.retry_after, error.task_id, error.sent)
    assert told == ("Slow.", "Slow.", "own", "n", 3.0, "t", True)
    assert errors.RateLimited("Slow.").code == "rate_limited"
