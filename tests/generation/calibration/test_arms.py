"""Which arm is chosen in worlds where it is known which is right; confidence that is as true as it says."""

import json
import logging
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seke.core.affect import AUS_OF_SOURCE, EXPRESSIONS
from seke.core.label_prior import couplings, tabulate
from seke.core.records import NOBODY as NO_ANNOTATOR
from seke.core.records import Labels, read_jsonl
from seke.core.vlm import Choice
from seke.generation.asked import missing
from seke.generation.calibration.annotator_model import Masked, answers, believe, nothing_heard
from seke.generation.calibration.arms import Reader, choose, prompts_of
from seke.generation.calibration.calibration_file import remarks
from seke.generation.calibration.gain import gain
from seke.generation.calibration.patterns import Demand, Pattern
from seke.generation.calibration.study import HIDDEN, NOBODY, SHOWN, Settings
from seke.generation.seke.stopping import fixed

AUS = AUS_OF_SOURCE["bp4d"]
ONLY_AUS = Pattern(False, False, True)
NOTHING = Pattern(False, False, False)


def faces(size, seed):
    """Expressions, and AUs that depend on them a little."""
    rng = np.random.default_rng(seed)
    p_EA = np.random.default_rng(99).uniform(0.1, 0.6, (len(EXPRESSIONS), len(AUS)))
    expressions = rng.integers(0, len(EXPRESSIONS), size)
    units = rng.random((size, len(AUS))) < p_EA[expressions]
    return [
        Labels(expression=EXPRESSIONS[e], action_units=dict(zip(AUS, map(bool, row), strict=True)))
        for e, row in zip(expressions, units, strict=True)
    ]


def said(truth, right, rng):
    """Five draws that name the true expression this often, and otherwise one that the image keeps."""
    mistaken = str(rng.choice(EXPRESSIONS))
    return tuple(Labels(expression=truth.expression if rng.random() < right else mistaken) for _ in range(5))


def pilot(size=160, seed=0, shown=0.6, hidden=0.6, subjects=40):
    rng = np.random.default_rng(seed)
    return [
        Masked(
            id=str(number),
            subject=f"s{number % subjects}",
            truth=Labels(expression=face.expression),
            known=Labels(action_units=face.action_units),
            draws=said(face, shown, rng),
            pattern=ONLY_AUS.name,
            hidden_draws=said(face, hidden, rng),
        )
        for number, face in enumerate(faces(size, seed))
    ]


def chosen(rows, demand=None, prompts=(SHOWN, HIDDEN)):
    taught = couplings(faces(2000, 5))
    demand = demand or {ONLY_AUS: Demand(1000, {"expression": 1000, "va": 1000, "au": 1000})}
    return choose(rows, demand, lambda without: taught, Settings((1, 5), prompts))


@pytest.mark.parametrize(
    ("shown", "hidden", "prompt"), [(0.25, 0.7, HIDDEN), (0.7, 0.25, SHOWN), (0.0, 0.0, NOBODY)], ids=str
)
def test_the_arm_is_the_one_that_foretells_held_out_labels(shown, hidden, prompt):
    arm = chosen(pilot(shown=shown, hidden=hidden)).arms[ONLY_AUS]["expression"]
    assert arm.option.prompt == prompt
    assert not arm.thin
    assert arm.gain.sure == arm.looks


def test_a_blind_annotator_seldom_seems_to_add_anything():
    looks = [chosen(pilot(seed=seed, shown=0.0, hidden=0.0)).arms[ONLY_AUS]["expression"].looks for seed in range(5)]
    assert sum(looks) <= 1, "the best of many options is chosen where it is not judged"


@pytest.mark.parametrize(("spread", "looks"), [(0.05, True), (50.0, False)], ids=["valence told", "valence a guess"])
def test_answers_that_are_requested_anyway_are_read_where_they_seem_to_help(spread, looks):
    """Of expressions this pilot is not sure; the same request tells valence, or does not."""
    rng = np.random.default_rng(3)
    rows = []
    for row in pilot(48, seed=6, shown=0.1, hidden=0.1):
        truth = float(rng.uniform(-1, 1))
        guesses = np.clip(rng.normal(truth, spread, 5), -1, 1).round(2).tolist()
        draws = tuple(draw.model_copy(update={"valence": v}) for draw, v in zip(row.draws, guesses, strict=True))
        told = row.truth.model_copy(update={"valence": truth})
        rows.append(row.model_copy(update={"truth": told, "draws": draws, "hidden_draws": draws}))
    arms = chosen(rows).arms[ONLY_AUS]
    expression = arms["expression"]
    assert 0 < expression.gain.mean < expression.gain.margin
    assert arms["va"].looks is expression.looks is looks


def test_more_draws_are_taken_where_they_tell_more():
    arm = chosen(pilot(shown=0.4, hidden=0.1)).arms[ONLY_AUS]["expression"]
    assert arm.option.draws == 5


@pytest.mark.parametrize(("shown", "hidden"), [(0.5, 0.2), (0.15, 0.6)])
def test_confidence_is_as_true_as_it_says(shown, hidden):
    calibration = chosen(pilot(240, shown=shown, hidden=hidden))
    rng = np.random.default_rng(7)
    pairs = []
    for face in faces(1500, 8):
        known = Labels(action_units=face.action_units)
        draws = {SHOWN: said(face, shown, rng), HIDDEN: said(face, hidden, rng)}
        arms = {"expression": calibration.of(known)["expression"]}
        p = calibration.posterior(arms, known, missing(known), draws).expression
        likeliest = max(p, key=p.__getitem__)
        pairs.append((p[likeliest], likeliest == face.expression))
    sure, right = np.array(pairs, dtype=float).T
    bins = np.minimum((sure * 10).astype(int), 9)
    gaps = [abs(sure[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean() for b in set(bins.tolist())]
    assert sum(gaps) < 0.06
    assert right.mean() > 0.6


def test_a_thin_pattern_is_read_as_the_nearest_that_has_enough():
    rows = pilot()
    few = [m.model_copy(update={"pattern": "nothing", "known": Labels(), "hidden_draws": ()}) for m in rows[:7]]
    demand = {p: Demand(100, {"expression": 100, "va": 100}) for p in (ONLY_AUS, NOTHING)}
    found = chosen([*rows, *few], demand)
    thin = found.arms[NOTHING]["expression"]
    assert (thin.thin, thin.labels, thin.learnt_on, thin.judged) == (True, 7, ONLY_AUS, 160)
    assert found.arms[ONLY_AUS]["va"].judged == 0
    assert found.arms[ONLY_AUS]["va"].loss is None, "nobody annotated it, so no number"
    lines = list(remarks(found))
    assert any("too few images with human labels of expressions (7), 40 are needed" in line for line in lines)
    assert any("nobody annotated valence and arousal" in line for line in lines)


def test_where_known_labels_may_not_be_used_nobody_hides_them():
    rows = [m.model_copy(update={"known": Labels(), "hidden_draws": ()}) for m in pilot()]
    found = chosen(rows, prompts=(SHOWN,))
    assert set(prompts_of(found.arms[ONLY_AUS])) == {SHOWN}


@settings(max_examples=25)
@given(st.integers(2, 30), st.integers(1, 5), st.integers(0, 2**32))
def test_standard_error_by_subject_against_that_of_subject_means(groups, each, seed):
    rng = np.random.default_rng(seed)
    of = np.repeat(np.arange(groups), each)
    values = rng.normal(size=groups)[of] + rng.normal(size=groups * each)
    mean, error, _ = gain(values, of)
    means = values.reshape(groups, each).mean(axis=1)
    assert mean == pytest.approx(values.mean())
    assert error == pytest.approx(means.std(ddof=1) / np.sqrt(groups))


def test_an_average_foretells_new_faces_better_than_the_option_that_seems_best():
    """Pilots of forty-eight; mean negative log-probability of 200 new faces' expressions, over six pilots."""
    losses = {"best": [], "average": []}
    for seed in range(6):
        calibration = chosen(pilot(48, seed=seed, shown=0.45, hidden=0.4))
        arm = calibration.arms[ONLY_AUS]["expression"]
        alone = replace(arm, readers=(Reader(arm.option, arm.annotator, 1.0),))
        rng = np.random.default_rng(100 + seed)
        for face in faces(200, 50 + seed):
            known = Labels(action_units=face.action_units)
            draws = {SHOWN: said(face, 0.45, rng), HIDDEN: said(face, 0.4, rng)}
            for name, read in (("best", alone), ("average", arm)):
                belief = calibration.posterior({"expression": read}, known, missing(known), draws)
                losses[name].append(-np.log(belief.expression[face.expression]))
    assert np.mean(losses["average"]) < np.mean(losses["best"])


def test_an_arm_against_its_readers_one_by_one():
    calibration = chosen(pilot(48, shown=0.45, hidden=0.4))
    arm = calibration.arms[ONLY_AUS]["expression"]
    face = faces(1, 9)[0]
    known = Labels(action_units=face.action_units)
    draws = {prompt: said(face, 0.45, np.random.default_rng(1)) for prompt in (SHOWN, HIDDEN)}
    p = dict.fromkeys(EXPRESSIONS, 0.0)
    for option, annotator, share in arm.readers:
        alone = believe(
            annotator.couplings,
            tabulate([known]),
            nothing_heard(1)
            if option.prompt == NOBODY
            else annotator.heard(answers([draws[option.prompt][: option.draws]])),
            option.weight,
            option.cross,
        )
        for e, p_one in alone.of(0, True, (), (False, False)).expression.items():
            p[e] += share * p_one
    assert len(arm.readers) > 1
    assert arm.posterior(known, missing(known), draws).expression == pytest.approx(p)


def test_thresholds_are_those_of_the_records_that_ask():
    """Where expressions are known AU4 is common, where nothing is it is rare: whose threshold is it?"""
    rng = np.random.default_rng(4)
    rows, found = [], {}
    for pattern, rate in ((Pattern(True, False, False), 0.7), (NOTHING, 0.05)):
        for number in range(120):
            truth = bool(rng.random() < rate)
            draw = Labels(action_units={4: truth if rng.random() < 0.7 else not truth})
            known = Labels(expression=EXPRESSIONS[number % 8]) if pattern.expression else Labels()
            hidden = (draw,) * 2 if pattern.expression else ()
            rows.append(
                Masked(
                    id=f"{pattern.name}{number}",
                    subject=f"s{pattern.name}{number % 12}",
                    truth=Labels(action_units={4: truth}),
                    known=known,
                    draws=(draw,) * 2,
                    pattern=pattern.name,
                    hidden_draws=hidden,
                )
            )
    taught = couplings([m.truth.completed_by(m.known) for m in rows])
    for common, rare in ((1000, 0), (0, 1000), (500, 500)):
        demand = {
            Pattern(True, False, False): Demand(max(common, 1), {"au": max(common, 1)}, {4: common}),
            NOTHING: Demand(max(rare, 1), {"au": max(rare, 1)}, {4: rare}),
        }
        found[common] = choose(rows, demand, lambda without: taught, Settings((2,))).thresholds[4]
    assert found[0] + 0.03 < found[500] < found[1000]


@pytest.fixture
def blind(scripted):
    """An annotator that says the same of every picture."""

    def script(request, number):
        fields = request.schema["properties"]
        said = {"expression": "happiness", "valence": 0.5, "arousal": 0.2, "action_units": [], "reasoning": "A smile."}
        return Choice(json.dumps({name: said[name] for name in fields}))

    return scripted(script)


def test_an_annotator_that_adds_nothing_is_not_asked_about_the_records(
    make_seke, blind, data, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr("seke.generation.calibration.pilot.FEWEST", 4)
    faces_of = {face.record.id: face for face in data.faces}
    seke = make_seke(blind, stopping=fixed(3), max_samples=3, aggregate="calibrated", pilot=60)
    with caplog.at_level(logging.WARNING):
        seke.learn(data.records, lambda record: faces_of[record.id], tmp_path)
    assert "the annotator adds nothing" in caplog.text
    page = json.loads((tmp_path / "calibration.json").read_text())
    assert {arm["prompt"] for row in page["patterns"].values() for arm in row["arms"].values()} == {NOBODY}
    asked = len(blind.asked)
    rows = [outcome.row for outcome in seke.generate(data.faces)]
    assert len(blind.asked) == asked
    for face, row in zip(data.faces, rows, strict=True):
        assert "not_looking" in row.flags
        assert (row.annotator, row.samples, row.simulated) == (NO_ANNOTATOR, 0, False)
        assert row.labels.complete
        assert face.record.labels.completed_by(row.labels) == row.labels
        assert row.confidence


def test_images_of_which_something_is_known_are_asked_about_twice(make_seke, data, tmp_path, annotator):
    class Counting:
        def __init__(self):
            self.texts = []

        def reply(self, requests):
            asked = list(requests)
            self.texts += [request.text for request in asked]
            return annotator.reply(asked)

    vlm = Counting()
    faces_of = {face.record.id: face for face in data.faces}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seke.generation.calibration.pilot.FEWEST", 4)
        seke = make_seke(vlm, aggregate="calibrated", pilot=20, stopping=fixed(2), max_samples=2)
        seke.learn(data.records, lambda record: faces_of[record.id], tmp_path)
    rows = list(read_jsonl(tmp_path / "pilot.jsonl", Masked))
    twice = [row for row in rows if not row.known.empty]
    assert twice
    assert all(len(row.hidden_draws) == len(row.draws) == 2 for row in twice)
    assert len(vlm.texts) == len(rows) + len(twice)
    assert sum("<human_annotation>" in text for text in vlm.texts) == len(twice)


def test_a_pilot_of_an_earlier_version_is_read_as_that_version_did(make_seke, data, tmp_path):
    units = {1: True, 2: False, 4: True, 6: False, 12: True, 17: False}
    draw = {"expression": None, "valence": None, "arousal": None, "action_units": {str(a): u for a, u in units.items()}}
    row = {"id": "tiny-00", "subject": "synthetic/s0", "truth": draw, "draws": [draw, draw]}
    known = {"expression": "fear", "valence": None, "arousal": None, "action_units": None}
    (tmp_path / "pilot.jsonl").write_text((json.dumps({**row, "known": known}) + "\n") * 6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seke.generation.calibration.pilot.FEWEST", 4)
        seke = make_seke(aggregate="calibrated", pilot=20, stopping=fixed(2), max_samples=2)
        seke.learn(data.records, lambda record: None, tmp_path)
    assert seke.learnt.groups == {"synthetic/s0"}
    assert not (tmp_path / "calibration.json").exists()
    for outcome in seke.generate(data.faces[:8]):
        assert outcome.row.samples == 2
        assert "thin_pilot" not in outcome.row.flags
        assert ("pilot" in outcome.row.flags) == (outcome.row.subject == "s0")
