"""Any order of events that the grammar allows, and some that it does not."""

from hypothesis import strategies as st

from gateway.generation.errors import AnswerCut, RateLimited
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

INDEX = st.integers(0, 2)
TEXT = st.text(max_size=8)
EXTRA = st.none() | st.just({"logprobs": {"content": []}})

text = st.builds(TextDelta, TEXT, INDEX, EXTRA)
reasoning = st.builds(ReasoningDelta, TEXT, INDEX)
media = st.builds(
    Media, st.sampled_from(["image", "video"]), url=st.sampled_from(["/media/a.png", "https://cdn.test/a"])
)
usage = st.builds(Usage, input_tokens=st.integers(0, 9), output_tokens=st.integers(0, 9))
other = (
    st.builds(Progress, st.floats(0, 1))
    | st.builds(Thread, TEXT)
    | st.builds(TaskAccepted, st.just("task-1"))
)
finish = st.builds(
    Finish,
    st.sampled_from(["stop", "length"]),
    st.sampled_from([(), ("stop", "length")]),
    st.none() | st.just({"system_fingerprint": "fp"}),
)
errors = st.builds(AnswerCut, TEXT) | st.builds(RateLimited, TEXT)


@st.composite
def tool_calls(draw: st.DrawFn) -> list[AnyEvent]:
    """One call in pieces: the first carries its id and name."""
    index, call = draw(INDEX), draw(st.integers(0, 2))
    pieces = [ToolCallDelta(call, arguments=part, index=index) for part in draw(st.lists(TEXT, max_size=3))]
    return [ToolCallDelta(call, id=f"call_{index}_{call}", name="f", index=index), *pieces]


def bodies() -> st.SearchStrategy[list[AnyEvent]]:
    """Return what may come before the end."""
    single = (text | reasoning | media | usage | other).map(lambda event: [event])
    return st.lists(single | tool_calls(), max_size=10).map(
        lambda groups: [e for group in groups for e in group]
    )


def streams() -> st.SearchStrategy[list[AnyEvent]]:
    """Return whole streams that end well."""
    return st.tuples(bodies(), finish).map(lambda pair: [*pair[0], pair[1]])
