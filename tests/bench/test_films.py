"""The provider of films: what it answers, and what its evidence says."""

import http.client

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.films import Evidence, FilmProvider, Poll, count_busiest, film_provider


@given(times=st.lists(st.integers(0, 40), min_size=1).map(sorted), window=st.integers(1, 20))
def test_the_busiest_window_is_the_busiest_that_begins_with_a_poll(times: list[int], window: int) -> None:
    found = count_busiest(times, window)
    assert found == max(sum(begin <= at < begin + window for at in times) for begin in times)


def test_budgets_are_counted_by_account_and_intervals_by_film() -> None:
    polls = [Poll("a", "1", 0.0), Poll("b", "2", 0.1), Poll("a", "3", 0.9), Poll("a", "1", 2.5)]
    evidence = Evidence({}, polls)
    assert evidence.busiest_second() == 2
    assert evidence.quickest_return() == 2.5


def ask(provider: FilmProvider, method: str, path: str, body: str = "") -> dict[str, object]:
    connection = http.client.HTTPConnection("127.0.0.1", provider.port, timeout=10)
    connection.request(method, path, body, {"authorization": "Bearer token-1"})
    answer: dict[str, object] = msgspec.json.decode(connection.getresponse().read())
    connection.close()
    return answer


def test_a_film_runs_until_it_is_ready() -> None:
    with film_provider(60, 60) as provider:
        ask(provider, "POST", "/api/v2/chat/completions?chat_id=1", '{"content":"film-7"}')
        assert ask(provider, "GET", "/api/v1/tasks/status/film-7")["task_status"] == "running"
        evidence = provider.evidence()
    assert list(evidence.ready) == ["film-7"]
    (poll,) = evidence.polls
    assert (poll.token, poll.film) == ("token-1", "film-7")
    assert 59 < evidence.ready["film-7"] - poll.at < 60
    with film_provider(0, 0) as provider:
        ask(provider, "POST", "/api/v2/chat/completions?chat_id=1", '{"content":"film-8"}')
        assert ask(provider, "GET", "/api/v1/tasks/status/film-8")["task_status"] == "success"
