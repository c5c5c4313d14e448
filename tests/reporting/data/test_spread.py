"""Spread in words: the same as counted pair by pair, and never "0" beside draws that differ."""

from itertools import product
from statistics import pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.core.affect import EXPRESSIONS
from seke.core.records import Labels
from seke.generation.seke.uncertainty import uncertainty
from seke.reporting.data.spread import level_words, spread, words

UNITS = (1, 4, 12)
DRAW = st.builds(
    Labels,
    expression=st.sampled_from(EXPRESSIONS),
    valence=st.integers(-100, 100).map(lambda cents: cents / 100),
    action_units=st.fixed_dictionaries(dict.fromkeys(UNITS, st.booleans())),
)


@given(st.lists(DRAW, min_size=2, max_size=5))
def test_spread_against_the_draws_themselves(draws: list[Labels]) -> None:
    found = uncertainty(draws)
    pairs = [*product(draws, draws)]
    differ = sum(one.expression != other.expression for one, other in pairs) / len(pairs)
    units = [(one.action_units or {}, other.action_units or {}) for one, other in pairs]
    apart = sum(one[au] != other[au] for one, other in units for au in UNITS) / len(pairs) / len(UNITS)
    values = [draw.valence or 0.0 for draw in draws]
    assert spread("expression", found.expression or 0.0) == pytest.approx(differ)
    assert spread("action_units", found.action_units or 0.0) == pytest.approx(apart)
    assert spread("valence", found.valence or 0.0) == pytest.approx(pstdev(values), abs=1e-7)


@given(st.lists(DRAW, min_size=2, max_size=5))
def test_only_draws_that_agree_are_said_to(draws: list[Labels]) -> None:
    found = uncertainty(draws)
    for field in ("expression", "valence", "action_units"):
        said = words(field, getattr(found, field), draws)
        assert (said == "all agree") == (len({str(getattr(draw, field)) for draw in draws}) == 1)


def test_words_by_hand() -> None:
    draws = [Labels(action_units={au: au < number for au in (1, 2, 4, 5, 6)}) for number in (0, 9)]
    assert words("action_units", 1.0, draws) == "AU1, AU2, AU4 and 2 more differ"
    assert words("action_units", 1.0, [Labels(action_units={1: True, 2: a}) for a in (True, False)]) == "AU2 differs"
    assert words("expression", 0.3, []) == "26 % of pairs differ", "soft draws say so themselves"
    assert words("valence", None, []) == "–"
    assert (level_words("arousal", 1e-6), level_words("action_units", 1e-4)) == ("± <0.01", "<1 % of pairs differ")
