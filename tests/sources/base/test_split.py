from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.core.errors import UserError
from seke.sources.base.split import checked_share, split_of

shares = st.floats(0, 1)


@given(st.text(), st.integers(), shares, shares, shares)
def test_a_larger_test_share_never_moves_a_group_out_of_test(group, seed, one, other, validation):
    low, high = sorted((one, other))
    if split_of(group, seed, low, validation) == "test":
        assert split_of(group, seed, high, validation) == "test"


@given(st.lists(st.text(min_size=1), unique=True, max_size=30), st.lists(st.text(min_size=1), max_size=10))
def test_added_subjects_and_another_order_move_nobody(subjects, added):
    before = {subject: split_of(subject, 0) for subject in subjects}
    after = {subject: split_of(subject, 0) for subject in reversed(subjects + added)}
    assert before.items() <= after.items()


@given(st.text(), st.integers())
def test_extreme_shares(group, seed):
    assert split_of(group, seed, 0.0, 0.0) == "train"
    assert split_of(group, seed, 0.0, 1.0) == "validation"
    assert split_of(group, seed, 1.0, 0.5) == "test"


def test_shares_are_met_on_average_and_seeds_differ():
    groups = [f"s{k}" for k in range(20_000)]
    counts = Counter(split_of(group, 1, 0.2, 0.1) for group in groups)
    assert counts["test"] / 20_000 == pytest.approx(0.2, abs=0.01)
    assert counts["validation"] / 20_000 == pytest.approx(0.08, abs=0.01)
    # Two seeds are independent: the overlap of their test sets is the product of the shares.
    both = sum(split_of(g, 1, 0.2) == split_of(g, 2, 0.2) == "test" for g in groups)
    assert both / 20_000 == pytest.approx(0.04, abs=0.01)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), "0.1", True, None])
def test_a_share_outside_0_to_1_is_the_users_mistake(value):
    with pytest.raises(UserError, match=r"source\.test_share"):
        checked_share("source.test_share", value)
