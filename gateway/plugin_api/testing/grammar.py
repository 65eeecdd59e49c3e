"""The grammar of events, as something that can be checked."""

from collections.abc import Sequence

from gateway.generation.events import AnyEvent, Finish, Media, TaskAccepted

__all__ = ["check_grammar"]


def check_grammar(events: Sequence[AnyEvent]) -> None:
    """Assert that `events` are ``(thread | delta | media | task | progress | usage)* finish``.

    At most one task is accepted, before any media.
    """
    assert events, "there are no events at all, not even an end"
    *body, end = events
    assert isinstance(end, Finish), f"the last event is {end!r}"
    assert not any(isinstance(event, Finish) for event in body), "an end stands in the middle"
    tasks = [at for at, event in enumerate(body) if isinstance(event, TaskAccepted)]
    media = [at for at, event in enumerate(body) if isinstance(event, Media)]
    assert len(tasks) <= 1, "a second task was accepted"
    assert not tasks or not media or tasks[0] < media[0], "media came before its task was accepted"
