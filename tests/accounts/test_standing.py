"""What an outcome changes: tables for each kind, properties over everything."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.accounts.standing import FOREVER, Scope, Standing, learn, merge
from gateway.generation.errors import (
    AccountRejected,
    AmbiguousSubmit,
    BurstLimited,
    ChatBusy,
    ContentRefused,
    EmptyAnswer,
    GatewayError,
    InvalidRequest,
    Overloaded,
    PollTimeout,
    QuotaExhausted,
    RateLimited,
    TaskFailed,
    UpstreamTimeout,
    UpstreamUnavailable,
    VerificationRequired,
)

NOON = 20_000 * 86_400 + 43_200.0
HOUR = 3600.0
DAY = 86_400.0


def after(*outcomes: GatewayError | None, start: Standing | None = None, now: float = NOON) -> Standing:
    standing = start or Standing()
    for outcome in outcomes:
        standing = learn(standing, outcome, begun=now, now=now)
    return standing


@pytest.mark.parametrize(
    ("error", "state", "seconds"),
    [
        (RateLimited("", retry_after=4 * HOUR), "cooling", 4 * HOUR),
        (RateLimited(""), "cooling", DAY / 2),
        (RateLimited("", retry_after=1), "cooling", 60),
        (RateLimited("", retry_after=-5), "cooling", 60),
        (RateLimited("", retry_after=1e12), "cooling", DAY),
        (RateLimited("", retry_after=math.inf), "cooling", DAY),
        (RateLimited("", retry_after=math.nan), "cooling", DAY / 2),
        (BurstLimited(""), "cooling", 2),
        (BurstLimited("", retry_after=7), "cooling", 7),
        (BurstLimited("", retry_after=0), "cooling", 1),
        (QuotaExhausted(""), "exhausted", 6 * HOUR),
        (QuotaExhausted("", retry_after=HOUR), "exhausted", HOUR),
        (VerificationRequired(""), "needs_attention", 600),
        (AccountRejected(""), "invalid", math.inf),
    ],
)
def test_a_refusal_makes_the_account_rest(error, state, seconds):
    standing = after(error)
    assert (standing.state, standing.until) == (state, NOON + seconds)
    assert (standing.requests, standing.failures, standing.ramp) == (1, 1, 1)
    assert standing.reason


def test_a_limit_without_hours_ends_at_midnight_utc_but_lasts_a_minute():
    just_before = NOON + DAY / 2 - 5
    assert after(RateLimited(""), now=just_before).until == just_before + 60


@pytest.mark.parametrize(
    "error",
    [InvalidRequest(""), ContentRefused(""), ChatBusy(""), TaskFailed(""), PollTimeout(""), Overloaded("")],
)
def test_what_is_not_the_accounts_fault_only_counts(error):
    assert after(*[error] * 20) == Standing(requests=20)


@pytest.mark.parametrize(
    "error", [UpstreamUnavailable(""), UpstreamTimeout(""), EmptyAnswer(""), AmbiguousSubmit("")]
)
def test_one_odd_fault_disables_nothing_and_several_in_a_row_open_the_circuit(error):
    four = after(*[error] * 4)
    assert (four.state, four.until) == ("ok", 0)
    five = after(error, start=four)
    assert (five.state, five.reason, five.until) == ("cooling", "provider_faults", NOON + 5)


def test_a_success_between_faults_starts_the_count_anew():
    fault = UpstreamUnavailable("")
    assert after(*[fault] * 4, None, *[fault] * 4).state == "ok"


def test_the_circuit_stays_open_longer_each_time_up_to_a_minute():
    standing, now, rests = after(*[UpstreamUnavailable("")] * 5), NOON, []
    for _ in range(6):
        rests.append(standing.until - now)
        now = standing.until
        standing = after(UpstreamUnavailable(""), start=standing, now=now)
    assert rests == [5, 10, 20, 40, 60, 60]


def test_bursts_back_off_longer_each_time():
    standing, now, rests = Standing(), NOON, []
    for _ in range(10):
        standing = after(BurstLimited(""), start=standing, now=now)
        rests.append(standing.until - now)
        now = standing.until
    assert rests == [2, 4, 8, 16, 32, 64, 128, 256, 512, 600]


def test_a_wave_of_failures_counts_as_one():
    wave = after(*[BurstLimited("")] * 50)
    assert (wave.until, wave.strikes, wave.failures) == (NOON + 2, 1, 50)


def test_a_provider_that_keeps_asking_for_a_human_is_left_alone():
    standing, now, rests = Standing(), NOON, []
    for _ in range(6):
        standing = after(VerificationRequired(""), start=standing, now=now)
        rests.append(standing.until - now)
        now = standing.until
    assert rests == [600, 1200, 2400, 4800, 9600, FOREVER]


def test_a_probe_then_a_ramp_then_no_limit():
    resting = after(RateLimited("", retry_after=60))
    standing, now, ramps = resting, resting.until, []
    for _ in range(7):
        ramps.append(standing.ramp)
        standing = after(None, start=standing, now=now)
    assert ramps == [1, 2, 4, 8, 16, 32, 0]
    assert standing.settled
    assert standing.state == "ok"


def test_a_success_that_began_before_the_rest_was_over_proves_nothing():
    resting = after(RateLimited("", retry_after=60))
    late = learn(resting, None, begun=resting.until - 1, now=resting.until + 10)
    assert late.same_verdict(resting)
    assert late.requests == resting.requests + 1


def test_a_failed_probe_is_a_new_wave():
    resting = after(BurstLimited(""))
    again = after(BurstLimited(""), start=resting, now=resting.until)
    assert (again.until, again.ramp) == (resting.until + 4, 1)


def test_jitter_only_delays_and_never_beyond_the_longest_rest():
    def until(hours: float, jitter: float) -> float:
        error = RateLimited("", retry_after=hours * HOUR)
        return learn(Standing(), error, begun=NOON, now=NOON, jitter=jitter).until - NOON

    assert until(4, 0.0) == 4 * HOUR
    assert until(4, 1.0) == 4 * HOUR + 30
    assert until(24, 1.0) == DAY


def test_a_scope_survives_as_a_key():
    scope = Scope("my/up", "a b%ü", "t2v", "wan/2.6", "")
    assert Scope.from_key(scope.key) == scope
    with pytest.raises(TypeError):
        Scope.from_key("one")


seconds = st.none() | st.floats() | st.floats(0, 1e6)
errors = st.one_of(
    st.none(),
    st.builds(RateLimited, st.just(""), retry_after=seconds),
    st.builds(BurstLimited, st.just(""), retry_after=seconds),
    st.builds(QuotaExhausted, st.just(""), retry_after=seconds),
    st.builds(VerificationRequired, st.just("")),
    st.builds(AccountRejected, st.just("")),
    st.builds(UpstreamUnavailable, st.just("")),
    st.builds(InvalidRequest, st.just("")),
)
outcomes = st.lists(
    st.tuples(errors, st.floats(-DAY, 2 * DAY), st.floats(0, HOUR), st.floats(0, 1)), max_size=40
)


@given(outcomes)
def test_deadlines_only_grow_and_rests_stay_within_a_day(history):
    standing, now = Standing(), NOON
    for error, step, lasted, jitter in history:
        now += step  # The clock may also be set back.
        learned = learn(standing, error, begun=now - lasted, now=now, jitter=jitter)
        assert learned.until >= standing.until
        assert learned.requests == standing.requests + 1
        assert 0 <= learned.failures - standing.failures <= 1
        if learned.until != standing.until:
            assert learned.until == FOREVER or 0 < learned.until - now <= DAY
            assert learned.ramp == 1
        if isinstance(error, RateLimited):
            assert learned.until >= now + 60
        standing = learned


standings = st.builds(
    Standing,
    state=st.sampled_from(["ok", "cooling", "invalid"]),
    until=st.sampled_from([0.0, NOON, NOON + 60, FOREVER]),
    strikes=st.integers(0, 3),
    requests=st.integers(0, 9),
    failures=st.integers(0, 9),
)


@given(standings, standings, standings)
def test_a_merge_loses_no_news_and_no_counts(stored, mine, synced):
    merged = merge(stored, mine, synced)
    assert merged.requests == stored.requests + mine.requests - synced.requests
    assert merged.failures == stored.failures + mine.failures - synced.failures
    if mine.same_verdict(synced):
        assert merged.same_verdict(stored)
    elif stored.same_verdict(synced):
        assert merged.same_verdict(mine)
    else:
        assert merged.until == max(mine.until, stored.until)


@given(standings, standings)
def test_two_replicas_agree_whoever_writes_first(one, other):
    synced = Standing()
    first = merge(one, other, synced)
    second = merge(other, one, synced)
    assert (first.until, first.requests, first.failures) == (second.until, second.requests, second.failures)
