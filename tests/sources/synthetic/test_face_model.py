import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.core.affect import ACTION_UNITS, AU_GIVEN_EXPRESSION, EXCLUSIVE_AUS, EXPRESSIONS, au_probability
from seke.sources.synthetic.face_model import ACTIVE, draw_face


@given(st.integers(0, 2**32), st.sampled_from([None, *EXPRESSIONS]))
def test_every_face_is_completely_and_consistently_labelled(seed, expression):
    face = draw_face(random.Random(seed), expression)
    labels = face.labels
    assert labels.complete
    assert expression is None or labels.expression == expression
    assert set(face.au_intensity) == set(ACTION_UNITS)
    for au, intensity in face.au_intensity.items():
        assert 0 <= intensity <= 5
        assert labels.action_units[au] == (intensity >= ACTIVE)
        assert not 1.2 < intensity < 2, "nothing lies between a trace and an active unit"
    assert not any(face.au_intensity[a] and face.au_intensity[b] for a, b in EXCLUSIVE_AUS)
    assert labels.valence == round(labels.valence, 2)


def test_the_same_seed_gives_the_same_face():
    assert draw_face(random.Random(3)) == draw_face(random.Random(3))
    assert draw_face(random.Random(3)) != draw_face(random.Random(4))


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_rates_against_affect(expression):
    rng = random.Random(0)
    faces = [draw_face(rng, expression) for _ in range(1500)]
    for au in AU_GIVEN_EXPRESSION[expression]:
        rate = np.mean([face.labels.action_units[au] for face in faces])
        # An exclusive partner takes at most its own rate away.
        taken = sum(au_probability(expression, o) for pair in EXCLUSIVE_AUS for o in pair if au in pair and o != au)
        expected = au_probability(expression, au)
        assert expected * (1 - taken) - 0.05 <= rate <= expected + 0.05


def test_expression_is_inferable_from_units_and_valence_arousal_with_sklearn():
    from sklearn.linear_model import LogisticRegression

    rng = random.Random(0)
    faces = [draw_face(rng) for _ in range(3000)]
    inputs = np.array([[*f.labels.action_units.values(), f.valence, f.arousal] for f in faces], dtype=float)
    names = np.array([face.expression for face in faces])
    model = LogisticRegression(max_iter=1000).fit(inputs[:2000], names[:2000])
    assert model.score(inputs[2000:], names[2000:]) > 0.95
