"""The tree of errors."""

import inspect

from gateway.transport import TransportError, errors


def test_the_drawn_tree_is_the_tree():
    drawing = errors.__doc__.split("::")[1].split("Every error")[0]
    rows = [line.split("── ")[-1].split() for line in drawing.splitlines() if line.strip()]
    drawn = {row[0] for row in rows}
    real = {name for name, _ in inspect.getmembers(errors, inspect.isclass)} - {"Literal"}
    assert drawn == real == set(errors.__all__)


def test_each_class_stands_under_the_one_it_is_drawn_under():
    parents = []
    for line in errors.__doc__.split("::")[1].split("Every error")[0].splitlines():
        name = line.split("── ")[-1].split()[0] if line.strip() else None
        if name is None:
            continue
        depth = 0 if name == "TransportError" else line.index("── ") // 4
        kind = getattr(errors, name)
        assert issubclass(kind, TransportError)
        assert kind.__bases__[0] is (Exception if name == "TransportError" else parents[depth - 1])
        parents[depth:] = [kind]


def test_only_what_fails_before_the_first_byte_is_free_to_try_again():
    assert not errors.ConnectTimeout("x").sent
    assert not errors.InvalidRequest("x").sent
    assert errors.InvalidRequest("x", sent=True).sent
    assert errors.ConnectionLost("x").sent
    assert errors.TooLarge("body", 3).sent
