"""The linear probe against scikit-learn used by hand, and the states that it is fitted on."""

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.preprocessing import StandardScaler

from seke.core.errors import UserError
from seke.models.instructblip import InstructBlip
from seke.training.linear_probe import STRENGTHS, fit, tower_states

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
