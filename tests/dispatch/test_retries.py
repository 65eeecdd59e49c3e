"""The retry budget is a share of live traffic, whatever the order of events."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.dispatch.retries import RetryBudget


@given(st.lists(st.booleans(), max_size=500))
def test_retries_stay_below_their_share(requests_or_faults):
    budget = RetryBudget(share=0.1)
    earned = spent = 0
    for is_request in requests_or_faults:
        if is_request:
            budget.earn()
            earned += 1
        else:
            spent += budget.spend()
    assert spent <= 1 + 0.1 * earned + 1e-9


def test_quiet_times_save_up_no_more_than_the_reserve():
    budget = RetryBudget(share=0.1, reserve=3.0)
    for _ in range(1000):
        budget.earn()
    assert sum(budget.spend() for _ in range(10)) == 3
