"""The linear probe against scikit-learn used by hand, and the states that it is fitted on."""

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.preprocessing import StandardScaler

from seke.core.errors import UserError
from seke.core.records import Labels
from seke.models.instructblip import InstructBlip
from seke.training.linear_probe import PENALTIES, STRENGTHS, fit, fit_faces, tower_states

from .. import warm
from ..conftest import ROOT


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 3, 90)
    states = rng.normal(size=(90, 12)) + 0.8 * np.eye(12)[classes] + 50
    return states.astype(np.float32), [("awe", "fear", "anger")[number] for number in classes]


def test_the_fit_against_scikit_learn_by_hand(data):
    states, classes = data
    folds = StratifiedKFold(5, shuffle=True, random_state=7)
    scores = []
    for strength in STRENGTHS:
        right = []
        for train, held in folds.split(states, classes):
            scaler = StandardScaler().fit(states[train])
            model = LogisticRegression(C=strength, max_iter=2000)
            model.fit(scaler.transform(states[train]), np.array(classes)[train])
            right.append(model.score(scaler.transform(states[held]), np.array(classes)[held]))
        scores.append(np.mean(right))
    best = STRENGTHS[int(np.argmax(scores))]
    probe = fit(states, classes, seed=7)
    assert probe.best_params_["logisticregression__C"] == best
    scaler = StandardScaler().fit(states)
    model = LogisticRegression(C=best, max_iter=2000).fit(scaler.transform(states), classes)
    assert (probe.predict(states) == model.predict(scaler.transform(states))).all()


def test_states_without_a_class_in_them_are_no_better_than_chance(data):
    noise = np.random.default_rng(1).normal(size=(90, 12)).astype(np.float32)
    held = cross_val_score(fit(noise, data[1], 0).best_estimator_, noise, data[1], cv=5)
    assert held.mean() < 0.45


@pytest.mark.parametrize("classes", [["awe"] * 6, ["awe"] * 5 + ["fear"]])
def test_a_class_too_small_to_validate_on_is_refused(classes):
    with pytest.raises(UserError, match="two classes with two pictures each"):
        fit(np.zeros((6, 2), dtype=np.float32), classes, 0)


def test_states_are_those_of_the_frozen_tower(tmp_path):
    loaded = InstructBlip(path=str(ROOT / "assets" / "instructblip_tiny"), dtype="float32", lr=1e-3).load()
    files = [tmp_path / f"{k}.png" for k in range(3)]
    for k, file in enumerate(files):
        Image.radial_gradient("L").rotate(30 * k).resize((96, 96)).convert("RGB").save(file)
    crops = torch.cat([loaded.pixels(Image.open(file).convert("RGB")).crops for file in files])
    with torch.inference_mode():
        seen = loaded.see(crops).numpy()
    np.testing.assert_allclose(tower_states(loaded, files, "mean", batch=2), seen.mean(1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(tower_states(loaded, files, "patches"), seen.reshape(3, -1), rtol=1e-4, atol=1e-5)
    with pytest.raises(UserError, match="no such pooling"):
        tower_states(loaded, files, "max")


def faces(count, seed):
    """Faces whose labels are linear in 6 states, but for some noise; of AU12 every fifth face says nothing."""
    rng = np.random.default_rng(seed)
    states = rng.normal(size=(count, 6)).astype(np.float32)
    noisy = states + 0.5 * rng.normal(size=states.shape)
    labels = [
        Labels(
            expression=("fear", "anger")[int(row[0] > 0)],
            valence=float(np.tanh(row[1] / 3)),
            action_units={4: bool(row[2] > 1.0), **({} if n % 5 == 0 else {12: bool(row[3] > 0)}), 26: n == 0},
        )
        for n, row in enumerate(noisy)
    ]
    return states, labels


def test_a_probe_of_faces_predicts_what_is_linear_and_says_what_nobody_taught():
    probe = fit_faces(*faces(300, 0), seed=0)
    states, truth = faces(300, 1)
    said = probe.predict(states)
    assert np.mean([a.expression == b.expression for a, b in zip(said, truth, strict=True)]) > 0.8
    ours, theirs = ([labels.action_units[4] for labels in rows] for rows in (said, truth))
    assert f1_score(theirs, ours) > 0.6
    assert set(said[0].action_units) == {4, 12} and said[0].arousal is None
    told = " ".join(probe.untaught)
    assert "AU26: 1 of 300 faces show it" in told and "AU1: 0 of 0 faces show it" in told
    assert "arousal: 0 faces carry it" in told


def test_valence_against_ridge_regression_by_hand():
    """The penalty of the least leave-one-out error, each face left out in turn."""
    states, labels = faces(40, 2)
    valence_N = np.array([row.valence for row in labels])
    scaled = StandardScaler().fit_transform(states)
    errors = []
    for alpha in PENALTIES:
        left_out = [np.delete(np.arange(40), n) for n in range(40)]
        models = [Ridge(alpha).fit(scaled[rows], valence_N[rows]) for rows in left_out]
        errors.append(np.mean([(model.predict(scaled[[n]])[0] - valence_N[n]) ** 2 for n, model in enumerate(models)]))
    best = Ridge(PENALTIES[int(np.argmin(errors))]).fit(scaled, valence_N)
    said = [row.valence for row in fit_faces(states, labels, seed=0).predict(states)]
    np.testing.assert_allclose(said, np.clip(best.predict(scaled), -1, 1), atol=1e-5)


def test_a_threshold_for_f1_finds_a_rare_unit_that_half_would_miss():
    """Seldom active and hardly separable: a probability above one half is never reached."""
    rng = np.random.default_rng(3)
    active = rng.random(400) < 0.12
    states = (rng.normal(size=(400, 3)) + active[:, None] * 0.7).astype(np.float32)
    labels = [Labels(action_units={9: bool(on)}) for on in active]
    said = [row.action_units[9] for row in fit_faces(states, labels, seed=0).predict(states)]
    half = LogisticRegression().fit(states, active).predict(states)
    assert f1_score(active, said) > f1_score(active, half) + 0.1


def test_a_face_without_any_label_teaches_nothing():
    probe = fit_faces(np.zeros((3, 2), dtype=np.float32), [Labels()] * 3, seed=0)
    assert probe.predict(np.zeros((2, 2), dtype=np.float32)) == [Labels(), Labels()]
    assert probe.untaught[0] == "expression: no face carries it" and len(probe.untaught) == 20


def test_records_that_are_not_there_are_one_line():
    """The command itself: what a recipe would hand on."""
    done = warm.run(ROOT / "scripts" / "linear_probe.py", "nowhere.jsonl", "answers.jsonl", "--faces")
    assert done.returncode == 2
    assert done.stderr == "error: records=nowhere.jsonl: no such file; give the test.jsonl of a prepared set\n"
