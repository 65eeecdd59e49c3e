"""Limits as header fields: what makes sense is read, whatever else a server writes is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.accounts.allowance import Allowance
from gateway.plugin_api.openai_wire import read_allowance
from gateway.transport.headers import Headers


def headers(limit: str = "10", remaining: str = "9", reset: str = "1s") -> Headers:
    fields = {"limit": limit, "remaining": remaining, "reset": reset}
    return Headers(
        [(f"x-ratelimit-{name}-requests".encode(), value.encode("latin-1")) for name, value in fields.items()]
    )


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("120ms", 0.12),
        ("2m59.56s", 179.56),
        ("1h2m3s", 3723.0),
        ("1d", 86_400.0),
        ("12", 12.0),
        ("0s", 0.0),
    ],
)
def test_a_duration_is_read(reset: str, seconds: float) -> None:
    told = read_allowance(headers(reset=reset), 1000.0)
    assert told is not None
    assert (told.limit, told.remaining, told.reset) == (10, 9, pytest.approx(1000.0 + seconds))


@pytest.mark.parametrize(
    "fields",
    [
        {"reset": ""},
        {"reset": "soon"},
        {"reset": "-1s"},
        {"reset": "1s later"},
        {"reset": "2026-11-22T00:00:00Z"},
        {"reset": "٣s"},
        {"limit": "ten"},
        {"limit": "-1"},
        {"limit": "9" * 40},
        {"remaining": ""},
        {"remaining": "1.5"},
    ],
)
def test_what_makes_no_sense_is_nothing(fields: dict[str, str]) -> None:
    told = {name: value.encode().decode("latin-1") for name, value in fields.items()}
    assert read_allowance(headers(**told), 0.0) is None


def test_no_field_is_nothing() -> None:
    assert read_allowance(Headers([(b"content-type", b"text/plain")]), 0.0) is None


@given(st.text(st.characters(max_codepoint=255), max_size=20))
def test_garbage_never_raises(text: str) -> None:
    for name in ("limit", "remaining", "reset"):
        told = read_allowance(headers(**{name: text}), 0.0)
        assert told is None or isinstance(told, Allowance)
