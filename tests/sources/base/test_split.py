from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.core.errors import UserError
from seke.core.records import ImageRecord, Labels, Rejection
from seke.sources.base.split import Draw, Undrawn, assign, checked_share, drawn

shares = st.floats(0, 1)
names = st.lists(st.text(min_size=1, max_size=6), unique=True, max_size=40)


@pytest.mark.parametrize(
    ("people", "test"), [(41, 4), (27, 3), (123, 12), (9, 3), (8, 2), (3, 1), (2, 0), (1, 0), (0, 0)]
)
@pytest.mark.parametrize("seed", range(12))
def test_a_tenth_of_the_subjects_is_tested_and_at_least_three_where_there_are_nine(people, test, seed):
    """BP4D has 41 subjects, DISFA 27 and CK+ 123 (Sec. 4.1 of the paper: 1/10 of the subjects)."""
    sides = Counter(assign((f"S{k:03d}" for k in range(people)), seed).values())
    assert sides["test"] == test
    left = people - test
    assert sides["validation"] == max(round(left * 0.08), min(1, left // 3))


@given(names, st.integers(), shares, shares, shares)
def test_a_larger_test_share_never_moves_a_group_out_of_test(groups, seed, one, other, validation):
    low, high = (assign(groups, seed, share, validation) for share in sorted((one, other)))
    assert {g for g, side in low.items() if side == "test"} <= {g for g, side in high.items() if side == "test"}


@given(names, st.text(min_size=7, max_size=8), st.integers(0, 9))
def test_an_added_subject_moves_three_others_at_most(subjects, added, seed):
    before, after = assign(subjects, seed), assign([added, *reversed(subjects)], seed)
    assert before == assign(reversed(subjects), seed)
    assert sum((before[subject] == "test") != (after[subject] == "test") for subject in subjects) <= 1
    assert sum(before[subject] != after[subject] for subject in subjects) <= 3


@given(names, st.integers())
def test_extreme_shares(groups, seed):
    assert set(assign(groups, seed, 0.0, 0.0).values()) <= {"train"}
    assert set(assign(groups, seed, 0.0, 1.0).values()) <= {"validation"}
    assert set(assign(groups, seed, 1.0, 0.5).values()) <= {"test"}


def test_shares_are_met_exactly_and_seeds_differ():
    groups = [f"s{k}" for k in range(20_000)]
    one, two = assign(groups, 1, 0.2, 0.1), assign(groups, 2, 0.2, 0.1)
    assert Counter(one.values()) == {"test": 4000, "validation": 1600, "train": 14_400}
    # Two seeds are independent: the overlap of their test sets is the product of the shares.
    both = sum(one[g] == two[g] == "test" for g in groups)
    assert both / 20_000 == pytest.approx(0.04, abs=0.01)


def test_rows_stay_in_order_and_what_the_owners_hold_out_is_not_drawn_from():
    def record(key: str, split: str = "train") -> ImageRecord:
        return ImageRecord(
            id=key, image=key, sha256=None, source="s", subject=None, split=split, labels=Labels(valence=0.0)
        )

    rows = [Undrawn(record(f"a{k}"), Draw(f"a{k}")) for k in range(20)]
    rows += [record("official", "test"), Rejection(id="r", reason="no image", detail="")]
    rows += [Undrawn(record(f"b{k}"), Draw(f"b{k}", test=False)) for k in range(25)]
    done = list(drawn(rows, 0, 0.25, 0.2))
    assert [row.id for row in done] == [getattr(row, "record", row).id for row in rows]
    sides = {kind: Counter(row.split for row in done if row.id[0] == kind) for kind in "abo"}
    assert sides["a"] == {"test": 5, "validation": 3, "train": 12}
    assert sides["b"] == {"validation": 5, "train": 20}
    assert sides["o"] == {"test": 1}


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), "0.1", True, None])
def test_a_share_outside_0_to_1_is_the_users_mistake(value):
    with pytest.raises(UserError, match=r"source\.test_share"):
        checked_share("source.test_share", value)
