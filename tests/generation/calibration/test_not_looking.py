"""Labels inferred without looking at the picture: the posterior against enumeration; nobody teaches himself."""

from itertools import product
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.errors import UserError
from seke.core.label_prior import AUS, couplings, tabulate
from seke.core.records import Labels
from seke.generation.asked import Asked, missing
from seke.generation.calibration.not_looking import _active, cross_fitted, deal, fit_not_looking, infer
from seke.generation.calibration.posterior import f1_threshold
from seke.sources.synthetic.face_model import draw_face

EVERYTHING = missing(Labels())
labels = st.builds(
    Labels,
    expression=st.none() | st.sampled_from(EXPRESSIONS),
    valence=st.none() | st.floats(-1, 1),
    arousal=st.none() | st.floats(-1, 1),
    action_units=st.none() | st.dictionaries(st.sampled_from(list(ACTION_UNITS)), st.booleans(), min_size=1),
)


def drawn(subjects: int, each: int = 6, seed: int = 0) -> dict[str, list[Labels]]:
    """Return complete labels of drawn faces by subject."""
    rng = Random(seed)
    return {f"s{number}": [draw_face(rng).labels for _ in range(each)] for number in range(subjects)}


FITTED = couplings(some for many in drawn(30).values() for some in many)


@given(labels)
def test_a_posterior_is_a_distribution_and_what_is_known_stays_as_it_is(known):
    belief = infer(FITTED, known, EVERYTHING)
    assert sum(belief.expression.values()) == pytest.approx(1)
    assert set(belief.action_units) == set(ACTION_UNITS)
    assert all(0 <= p <= 1 for p in belief.action_units.values())
    if known.expression is not None:
        assert belief.expression[known.expression] == 1
    for au, active in (known.action_units or {}).items():
        assert belief.action_units[au] == pytest.approx(float(active))
    for name in ("valence", "arousal"):
        mean, sd = getattr(belief, name)
        assert sd > 0
        if getattr(known, name) is not None:
            assert mean == pytest.approx(getattr(known, name))
            assert sd < 0.01


@given(labels, st.sets(st.sampled_from(["expression", "valence", "arousal", *AUS])))
def test_only_what_is_asked_is_answered(known, asked):
    units = tuple(au for au in AUS if au in asked)
    belief = infer(FITTED, known, Asked("expression" in asked, "valence" in asked, "arousal" in asked, units))
    assert (belief.expression is not None) == ("expression" in asked)
    assert (belief.valence is not None) == ("valence" in asked)
    assert (belief.arousal is not None) == ("arousal" in asked)
    assert tuple(belief.action_units) == units


@given(labels)
def test_the_posterior_of_many_images_is_that_of_each(known):
    each = infer(FITTED, known.model_copy(update={"action_units": None}), EVERYTHING).action_units
    p_NA = _active(FITTED, tabulate([Labels(), known.model_copy(update={"action_units": None})]))
    np.testing.assert_allclose(p_NA[1], [each[au] for au in AUS])


@pytest.mark.parametrize(
    "known",
    [
        Labels(),
        Labels(expression="fear"),
        Labels(action_units={6: True, 12: True, 4: False}),
        Labels(action_units={1: True, 2: True}, valence=0.2, arousal=0.6),
    ],
)
def test_the_posterior_against_the_enumeration_of_the_naive_bayes_model(known):
    """The joint probability of every expression and every state of three AUs, summed up state by state."""
    wanted = [au for au in (1, 12, 25) if au not in (known.action_units or {})]
    joint = {}
    for row, expression in enumerate(EXPRESSIONS):
        for states in product((False, True), repeat=len(wanted)):
            p = FITTED.expression_E[row] * (known.expression in (None, expression))
            for au, active in (*(known.action_units or {}).items(), *zip(wanted, states, strict=True)):
                p *= FITTED.au_EA[row, AUS.index(au)] if active else 1 - FITTED.au_EA[row, AUS.index(au)]
            for place, value in enumerate((known.valence, known.arousal)):
                if value is not None:
                    p *= stats.norm(FITTED.centre_ED[row, place], FITTED.spread_ED[row, place]).pdf(value)
            joint[expression, states] = p
    total = sum(joint.values())
    belief = infer(FITTED, known, EVERYTHING)
    for expression in EXPRESSIONS:
        p = sum(value for (named, _), value in joint.items() if named == expression) / total
        assert belief.expression[expression] == pytest.approx(p)
    for place, au in enumerate(wanted):
        p = sum(value for (_, states), value in joint.items() if states[place]) / total
        assert belief.action_units[au] == pytest.approx(p)
    if known.valence is None:
        p_E = np.array([belief.expression[e] for e in EXPRESSIONS])
        assert belief.valence[0] == pytest.approx(p_E @ FITTED.centre_ED[:, 0])
        second = p_E @ (FITTED.spread_ED[:, 0] ** 2 + FITTED.centre_ED[:, 0] ** 2)
        assert belief.valence[1] == pytest.approx(np.sqrt(second - belief.valence[0] ** 2))


def test_the_order_of_subjects_and_of_their_labels_changes_nothing():
    given_, rng = drawn(12), Random(1)
    shuffled = {name: rng.sample(given_[name], len(given_[name])) for name in rng.sample(list(given_), len(given_))}
    known = Labels(expression="anger")
    for name, fitted in cross_fitted(given_, hidden=["action_units"]).items():
        other = cross_fitted(shuffled, hidden=["action_units"])[name]
        assert other.thresholds == pytest.approx(fitted.thresholds)
        one, two = fitted.posterior(known, EVERYTHING), other.posterior(known, EVERYTHING)
        assert two.action_units == pytest.approx(one.action_units)


@pytest.mark.parametrize("hidden", [[], ["action_units"], ["expression"]])
def test_nobodys_own_labels_teach_what_is_inferred_of_him(hidden):
    before = drawn(11)
    partial = {name: [some.model_copy(update={"arousal": None}) for some in many] for name, many in before.items()}
    for name in ("s0", "s7"):
        other = [Labels(expression="contempt", valence=-1.0, arousal=1.0, action_units=dict.fromkeys(AUS, True))] * 9
        one, two = (cross_fitted(given_, hidden)[name] for given_ in (partial, {**partial, name: other}))
        assert one.thresholds == two.thresholds
        assert one.carried == two.carried
        for ours, theirs in zip(one.couplings, two.couplings, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    changed = [
        subject
        for subject, fitted in cross_fitted({**partial, "s7": other}, hidden).items()
        if not np.array_equal(fitted.couplings.au_EA, cross_fitted(partial, hidden)[subject].couplings.au_EA)
    ]
    fold = deal(list(partial))
    assert changed == [subject for subject in partial if fold[subject] != fold["s7"]]


def test_what_no_other_subject_carries_is_not_inferred():
    faces = drawn(10)
    bare = {
        name: [Labels(expression=some.expression, action_units={1: (some.action_units or {})[1]}) for some in many]
        for name, many in faces.items()
    }
    fitted = cross_fitted({**bare, "s3": faces["s3"]})["s3"]
    belief = fitted.posterior(Labels(), EVERYTHING)
    assert belief.expression is not None
    assert belief.valence is None
    assert belief.arousal is None
    assert set(belief.action_units) == {1}
    assert fitted.decide(belief).valence is None


def test_a_threshold_is_that_of_f1_over_posteriors_of_other_subjects():
    faces = drawn(2, each=40)
    fitted = fit_not_looking(faces, hidden=["action_units"])
    p = []
    for name, other in (("s0", "s1"), ("s1", "s0")):
        links = couplings(faces[other])
        p += [
            infer(links, some.model_copy(update={"action_units": None}), EVERYTHING).action_units
            for some in faces[name]
        ]
    assert fitted.thresholds == pytest.approx({au: f1_threshold([each[au] for each in p]) for au in AUS})
    assert fitted.thresholds[12] < 0.5


def test_fewer_than_two_subjects_have_nobody_to_learn_from():
    with pytest.raises(UserError, match="at least two subjects"):
        cross_fitted({"s0": [Labels(expression="fear")]})


def test_folds_are_of_equal_size():
    folds = list(deal([f"s{number}" for number in range(23)], 5).values())
    assert sorted(folds.count(fold) for fold in range(5)) == [4, 4, 5, 5, 5]
