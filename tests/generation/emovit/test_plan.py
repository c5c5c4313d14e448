"""EmoVIT's plan for one class: whatever is wanted, numbers are kept, pictures are not mixed, order means nothing."""

from hypothesis import given
from hypothesis import strategies as st

from seke.generation.emovit.plan import KINDS, Wanted, allotted, shared

numbers = st.none() | st.integers(0, 40)
wants = st.builds(Wanted, numbers, numbers, numbers)
pictures = st.lists(st.text(min_size=1, max_size=6), unique=True, max_size=30)


@given(st.integers(0, 60), wants)
def test_nobody_gets_more_than_was_wanted_nor_all_together_more_than_there_are(available, wanted):
    got = shared(available, wanted)
    assert all(number is None or got[kind] <= number for kind, number in wanted._asdict().items())
    assert 0 <= got["categorical"] + max(got["conversation"], got["reasoning"]) <= available


@given(st.integers(0, 60), wants)
def test_where_there_is_enough_everybody_gets_what_was_wanted(available, wanted):
    whole = [number or 0 for number in wanted]
    if whole[0] + max(whole[1:]) <= available:
        got = shared(available, wanted)
        assert all(number is None or got[kind] == number for kind, number in wanted._asdict().items())


@given(st.integers(0, 200))
def test_too_few_pictures_are_shared_in_the_papers_proportion_and_none_is_left_over(available):
    got = shared(available, Wanted(4600, 1000, 100))
    assert got["categorical"] + got["conversation"] == available
    assert abs(got["conversation"] - available * 1000 / 5600) < 1
    assert abs(got["reasoning"] - available * 100 / 5600) < 1


@given(st.integers(0, 60), st.integers(0, 40))
def test_null_takes_what_the_others_leave(available, some):
    assert shared(available, Wanted(None, some, 0))["categorical"] == max(available - some, 0)
    assert shared(available, Wanted(some, None, None))["reasoning"] == max(available - some, 0)


@given(pictures, wants, st.integers(0, 5), st.randoms())
def test_pictures_of_categorical_are_none_of_the_others_in_any_order(names, wanted, seed, rng):
    drawn = allotted(names, wanted, seed)
    assert {kind: len(ids) for kind, ids in drawn.items()} == shared(len(names), wanted)
    assert all(len(set(ids)) == len(ids) and set(ids) <= set(names) for ids in drawn.values())
    assert not set(drawn["categorical"]) & {*drawn["conversation"], *drawn["reasoning"]}
    mixed = list(names)
    rng.shuffle(mixed)
    assert allotted(mixed, wanted, seed) == drawn
    assert list(drawn) == list(KINDS)


def test_another_seed_draws_others():
    names, wanted = [str(number) for number in range(100)], Wanted(10, 10, 10)
    assert allotted(names, wanted, 0) != allotted(names, wanted, 1)


@given(pictures, st.text(min_size=7, max_size=8))
def test_a_new_picture_moves_at_most_one_out_of_each_kind(names, new):
    before, after = (allotted(list_, Wanted(0, 5, 5), 0)["conversation"] for list_ in (names, [*names, new]))
    assert len(set(before) - set(after)) <= 1
