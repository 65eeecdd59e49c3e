"""Events are values: they survive their encoding, and nobody changes them."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.generation.events import (
    AnyEvent,
    Finish,
    Media,
    Progress,
    ReasoningDelta,
    TaskAccepted,
    TextDelta,
    Thread,
    ToolCallDelta,
    Usage,
)

counts = st.integers(0, 2**53)
texts = st.text(max_size=20)
extras = st.none() | st.dictionaries(texts, st.integers(-9, 9) | st.lists(texts, max_size=2), max_size=2)
reasons = st.sampled_from(["stop", "length", "tool_calls", "content_filter"])
events = st.one_of(
    st.builds(TextDelta, texts, counts, extras),
    st.builds(ReasoningDelta, texts, counts),
    st.builds(ToolCallDelta, counts, texts, texts, texts, counts),
    st.builds(
        Media,
        st.sampled_from(["image", "video", "audio"]),
        texts,
        st.binary(max_size=9),
        texts,
        counts,
        counts,
    ),
    st.builds(TaskAccepted, texts),
    st.builds(Progress, st.floats(0, 1), texts),
    st.builds(Usage, *[counts] * 7, st.floats(0, 1e6)),
    st.builds(Finish, reasons, st.lists(reasons, max_size=3).map(tuple), extras),
    st.builds(Thread, texts, texts),
)


@given(events)
def test_every_event_survives_its_encoding(event: AnyEvent) -> None:
    assert msgspec.json.decode(msgspec.json.encode(event), type=AnyEvent) == event


@given(events)
def test_no_event_can_be_changed(event: AnyEvent) -> None:
    name = event.__struct_fields__[0]
    with pytest.raises(AttributeError):
        setattr(event, name, None)


def test_every_kind_of_event_is_drawn_here() -> None:
    kinds = {type(event) for event in (TextDelta(""), ReasoningDelta(""), ToolCallDelta(0), Media("image"))}
    kinds |= {TaskAccepted, Progress, Usage, Finish, Thread}
    assert kinds == set(AnyEvent.__args__)
