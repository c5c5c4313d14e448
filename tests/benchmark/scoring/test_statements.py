"""What an answer states: wordings found as words, the longest first, denials left out, several things never right."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.benchmark.scoring.statements import outcome, stated

GLASSES = (("no glasses", "no", "not wear glasses"), ("glasses", "yes"))
THINGS = (("gift", "present"), ("dog",), ("very big dog",))


@pytest.mark.parametrize(
    ("text", "statement", "found"),
    [
        ("No glasses.", GLASSES, "right"),
        ("NO  GLASSES", GLASSES, "right"),
        ("The person does not wear glasses", GLASSES, "right"),
        ("Yes, glasses.", GLASSES, "wrong"),
        ("Glasses, or no glasses.", GLASSES, "wrong"),
        ("eyeglasses", GLASSES, "unstated"),
        ("", GLASSES, "unstated"),
        ("A present lies there", THINGS, "right"),
        ("a gift, a present", THINGS, "right"),
        ("a gift and a dog", THINGS, "wrong"),
        ("a very big dog", THINGS, "wrong"),
        ("There isn't a dog but a gift", THINGS, "right"),
        ("There isn’t any gift", THINGS, "unstated"),
        ("not this. A gift", THINGS, "right"),
        ("represent", THINGS, "unstated"),
    ],
)
def test_an_answer_is_right_if_it_says_what_is_right_and_nothing_else(text: str, statement, found: str) -> None:
    assert outcome(text, statement) == found


words = st.text("abcdef", min_size=1, max_size=4)


@given(st.lists(words, min_size=2, max_size=5, unique=True), st.data())
def test_each_of_several_words_is_found_in_any_order_and_listing_all_is_wrong(alternatives, data) -> None:
    statement = tuple((word,) for word in alternatives)
    chosen = data.draw(st.lists(st.sampled_from(range(len(alternatives))), unique=True))
    text = "; ".join(alternatives[place] for place in chosen)
    assert stated(text, statement) == set(chosen)
    assert outcome(text, statement) == ("right" if chosen == [0] else "wrong" if chosen else "unstated")
