"""Eq. 2-3 against numpy."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.records import Labels
from seke.generation.seke.uncertainty import uncertainty, variance

units = st.floats(-1, 1, allow_nan=False)
draws = st.lists(
    st.builds(
        Labels,
        expression=st.sampled_from(EXPRESSIONS),
        valence=units,
        arousal=units,
        action_units=st.fixed_dictionaries({au: st.booleans() for au in ACTION_UNITS}),
    ),
    min_size=1,
    max_size=8,
)


@given(st.lists(units, min_size=1, max_size=10))
def test_variance_against_numpy(values):
    assert variance(values) == pytest.approx(np.var(values), abs=1e-12)


@given(draws)
def test_each_description_against_numpy(drawn):
    found = uncertainty(drawn)
    one_hot = np.array([[draw.expression == name for name in EXPRESSIONS] for draw in drawn], dtype=float)
    active = np.array([[draw.action_units[au] for au in ACTION_UNITS] for draw in drawn], dtype=float)
    assert found.expression == pytest.approx(one_hot.var(axis=0).sum() / (1 - 1 / 8), abs=1e-12)
    assert found.valence == pytest.approx(np.var([draw.valence for draw in drawn]), abs=1e-12)
    assert found.arousal == pytest.approx(np.var([draw.arousal for draw in drawn]), abs=1e-12)
    assert found.action_units == pytest.approx((4 * active.var(axis=0)).mean(), abs=1e-12)
    assert uncertainty(drawn, per_au="max").action_units == pytest.approx((4 * active.var(axis=0)).max(), abs=1e-12)
    assert found.max == max(found.expression, found.valence, found.arousal, found.action_units)


def test_the_largest_values_are_one():
    everything_apart = [
        Labels(expression=name, valence=side, arousal=-side, action_units=dict.fromkeys(ACTION_UNITS, side > 0))
        for name, side in zip(EXPRESSIONS, [1.0, -1.0] * 4, strict=True)
    ]
    found = uncertainty(everything_apart)
    assert (found.expression, found.valence, found.arousal, found.action_units) == pytest.approx((1, 1, 1, 1))


@given(draws)
def test_what_a_draw_lacks_does_not_count(drawn):
    lacking = [draw.model_copy(update={"expression": None, "action_units": None}) for draw in drawn]
    assert uncertainty([*drawn, Labels()]) == uncertainty(drawn)
    found = uncertainty(lacking)
    assert found.expression is None
    assert found.action_units is None
    assert found.max == max(found.valence, found.arousal)


def test_nothing_drawn_is_unknown_not_certain():
    assert uncertainty([]).max is None


def test_the_last_digit_is_the_same_in_every_process():
    """Rows must be equal byte for byte after a resume, and Python hashes strings anew in each process."""
    program = (
        "from itertools import combinations_with_replacement as choose\n"
        "from seke.core.affect import EXPRESSIONS\n"
        "from seke.generation.seke.uncertainty import expression_uncertainty\n"
        "print([expression_uncertainty(draws) for draws in choose(EXPRESSIONS, 5)])"
    )
    outputs = {
        subprocess.check_output([sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": seed})
        for seed in ("1", "2", "3")
    }
    assert len(outputs) == 1
