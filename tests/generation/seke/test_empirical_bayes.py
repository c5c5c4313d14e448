from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seke.core.affect import ACTION_UNITS
from seke.core.errors import UserError
from seke.core.label_prior import couplings
from seke.core.records import Labels, read_jsonl
from seke.generation.calibration import calibration_file
from seke.generation.calibration.annotator_model import Masked
from seke.generation.calibration.fit import fit
from seke.generation.seke.aggregation import majority
from seke.generation.seke.empirical_bayes import EmpiricalBayes, second_stage_pays
from seke.generation.seke.stopping import State


def pilot(size=160, seed=0):
    """Half of the images are easy, and their draws agree; those of the others are all but coin tosses."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(size):
        truth = {au: bool(rng.random() < 0.5) for au in ACTION_UNITS}
        hit = 0.99 if number % 2 else 0.7
        draws = tuple(
            Labels(action_units={au: active == (rng.random() < hit) for au, active in truth.items()}) for _ in range(5)
        )
        rows.append(
            Masked(id=str(number), subject=str(number), truth=Labels(action_units=truth), known=Labels(), draws=draws)
        )
    return rows


def taught(excess, prompt_cost=0.0):
    rows = pilot()
    rule = EmpiricalBayes((3, 5), excess, prompt_cost)
    rule.learn(fit(rows, couplings([])), rows, couplings([]))
    return rule


def stops(rule, masked):
    drawn = 0
    while more := rule(State(masked.known, masked.draws[:drawn]), Random(0)):
        drawn += more
    return drawn


def test_before_it_has_learnt_everybody_goes_to_the_last_stage():
    assert {stops(EmpiricalBayes((3, 5)), masked) for masked in pilot(10)} == {5}


def test_hard_images_go_on_and_easy_ones_stop():
    rule = taught(0.01)
    fresh = pilot(200, seed=1)
    easy = [stops(rule, masked) for masked in fresh[1::2]]
    hard = [stops(rule, masked) for masked in fresh[::2]]
    assert {*easy, *hard} == {3, 5}
    assert np.mean(easy) < 3.3
    assert np.mean(hard) > np.mean(easy) + 0.5


def test_what_may_be_lost_decides_what_is_spent():
    fresh = pilot(60, seed=1)
    rules = [taught(excess) for excess in (0.002, 0.01, 0.1)]
    spent = [np.mean([stops(rule, masked) for masked in fresh]) for rule in rules]
    assert spent[0] > spent[1] > spent[2] == 3


@pytest.mark.parametrize(
    ("settings", "argument"), [(((3, 3), 0.1), "stages"), (((3, 5), 0), "excess"), (((3, 5), 1.5), "excess")]
)
def test_mistakes(settings, argument):
    with pytest.raises(UserError, match=argument):
        EmpiricalBayes(*settings)


def test_where_too_many_would_go_on_all_draws_are_taken_at_once():
    rule = taught(0.01, prompt_cost=12.0)
    assert rule.at_once
    assert rule(State(), Random(0)) == 5
    assert {stops(rule, masked) for masked in pilot(20, seed=1)} == {5}


@given(st.integers(1, 4), st.integers(1, 4), st.floats(0, 50), st.floats(0, 1))
def test_two_stages_are_chosen_exactly_where_they_cost_less(first, further, prompt, share):
    last = first + further
    staged = prompt + first + share * (prompt + further)
    at_once = prompt + last
    pays = share < second_stage_pays((first, last), prompt)
    assert pays == (staged < at_once) or staged == pytest.approx(at_once)


def test_majority_counts():
    draws = [
        Labels(expression="fear", valence=0.0, action_units={1: True, 2: True}),
        Labels(expression="anger", valence=0.3, action_units={1: True, 2: False}),
        Labels(expression="fear", valence=0.6, action_units={1: False, 2: False}),
    ]
    votes = majority(draws)
    assert (votes.expression, votes.valence, votes.arousal) == ("fear", pytest.approx(0.3), None)
    assert votes.action_units == {1: True, 2: False}
    assert majority(draws[:2]).action_units == {1: True, 2: False}, "a tie is no majority"


def learnt(make_seke, data, tmp_path, **settings):
    seke = make_seke(pilot=20, **settings)
    seke.learn(data.records, lambda record: next(f for f in data.faces if f.record.id == record.id), tmp_path)
    return seke


@pytest.fixture(autouse=True)
def _a_small_pilot_will_do(monkeypatch):
    monkeypatch.setattr("seke.generation.calibration.pilot.FEWEST", 5)


def test_the_pilot_is_asked_once_and_kept(make_seke, data, tmp_path):
    first = learnt(make_seke, data, tmp_path, aggregate="calibrated", stopping=EmpiricalBayes((3, 5)))
    rows = list(read_jsonl(tmp_path / "pilot.jsonl", Masked))
    assert rows
    assert all(len(row.draws) == 5 for row in rows)
    silent = make_seke(pilot=20, aggregate="calibrated", vlm=None)
    silent.vlm = None
    silent.learn(data.records, lambda record: None, tmp_path)
    assert calibration_file.content(silent.learnt.calibration) == calibration_file.content(first.learnt.calibration)


def test_masked_labels_are_not_shown(make_seke, data, tmp_path):
    learnt(make_seke, data, tmp_path, aggregate="calibrated")
    for row in read_jsonl(tmp_path / "pilot.jsonl", Masked):
        for name in ("expression", "valence", "arousal"):
            assert getattr(row.truth, name) is None or getattr(row.known, name) is None
        assert not set(row.truth.action_units or {}) & set(row.known.action_units or {})


def test_records_of_pilot_subjects_are_flagged_and_all_rows_carry_a_confidence(make_seke, data, tmp_path):
    seke = learnt(make_seke, data, tmp_path, aggregate="calibrated", stopping=EmpiricalBayes((3, 5)))
    rows = [outcome.row for outcome in seke.generate(data.faces)]
    subjects = {row.subject for row in read_jsonl(tmp_path / "pilot.jsonl", Masked)}
    assert subjects
    for row in rows:
        assert ("pilot" in row.flags) == (f"{row.source}/{row.subject}" in subjects)
        asked = {name for name, origin in row.origin if origin == "generated"}
        assert asked - {"action_units"} <= set(row.confidence or {})


@pytest.mark.parametrize("aggregate", ["majority", "calibrated"])
def test_human_labels_stay_whatever_aggregates(make_seke, data, tmp_path, aggregate):
    seke = learnt(make_seke, data, tmp_path, aggregate=aggregate)
    for face, outcome in zip(data.faces, seke.generate(data.faces), strict=True):
        assert face.record.labels.completed_by(outcome.row.labels) == outcome.row.labels


def test_hidden_labels_of_those_who_are_scored_teach_nothing(make_seke, data, tmp_path):
    seke = (
        learnt(make_seke, data, tmp_path / "a", aggregate="calibrated", hide=["expression"])
        if (tmp_path / "a").mkdir() is None
        else None
    )
    groups = seke.learnt.groups
    altered = [
        r
        if f"{r.source}/{r.subject}" in groups or r.labels.expression is None
        else r.model_copy(update={"labels": r.labels.model_copy(update={"expression": "fear"})})
        for r in data.records
    ]
    (tmp_path / "b").mkdir()
    other = make_seke(pilot=20, aggregate="calibrated", hide=["expression"])
    other.learn(altered, lambda record: next(f for f in data.faces if f.record.id == record.id), tmp_path / "b")
    for pattern, arms in seke.learnt.calibration.arms.items():
        for name, arm in arms.items():
            links = other.learnt.calibration.arms[pattern][name].annotator.couplings
            np.testing.assert_array_equal(links.expression_E, arm.annotator.couplings.expression_E)
            np.testing.assert_array_equal(links.au_EA, arm.annotator.couplings.au_EA)


def test_too_few_labelled_records_are_the_users_mistake(make_seke, data, tmp_path, monkeypatch):
    monkeypatch.setattr("seke.generation.calibration.pilot.FEWEST", 40)
    with pytest.raises(UserError, match=r"generator\.pilot"):
        learnt(make_seke, data, tmp_path, aggregate="calibrated")
