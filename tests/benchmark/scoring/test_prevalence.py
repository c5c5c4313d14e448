"""F1 at another prevalence: against scikit-learn on weighted and on resampled images."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from seke.benchmark.scoring.arrays import columns
from seke.benchmark.scoring.metrics import scores
from seke.benchmark.scoring.prevalence import at_prevalence, checked_prevalence
from seke.core.affect import ACTION_UNITS, TABLE2_AUS
from seke.core.errors import UserError
from seke.core.records import Labels

from ..faces import prediction, predictions

SHARES = st.floats(0.01, 0.99)


def rows_of(active: np.ndarray, called: np.ndarray):
    return [
        prediction(Labels(action_units={4: bool(true)}), Labels(action_units={4: bool(said)}), number)
        for number, (true, said) in enumerate(zip(active, called, strict=True))
    ]


@given(st.integers(0, 10**6), st.integers(1, 60), SHARES)
def test_f1_at_a_prevalence_against_sklearn_on_images_weighted_to_it(seed: int, count: int, share: float) -> None:
    rows = predictions(seed, count)
    found = at_prevalence(columns(rows), dict.fromkeys(ACTION_UNITS, share))
    for au in ACTION_UNITS:
        pairs = [
            (row.truth.action_units[au], au in row.labels.active)
            for row in rows
            if au in (row.truth.action_units or {})
        ]
        true, said = (np.array([pair[k] for pair in pairs], dtype=bool) for k in (0, 1))
        if not true.any() or true.all():
            assert found["f1"][str(au)] is None
            continue
        weights = np.where(true, share / true.mean(), (1 - share) / (1 - true.mean()))
        reference = f1_score(true, said, sample_weight=weights, zero_division=0)
        assert found["f1"][str(au)] == pytest.approx(reference, abs=1e-12)
    known = [found["f1"][str(au)] for au in TABLE2_AUS if found["f1"][str(au)] is not None]
    assert found["f1_n_aus"] == len(known)
    assert found["f1_mean_14"] == (pytest.approx(np.mean(known)) if known else None)


def test_f1_at_a_prevalence_against_resampled_images() -> None:
    rng = np.random.default_rng(0)
    active = rng.random(4_000) < 0.3
    called = np.where(active, rng.random(4_000) < 0.6, rng.random(4_000) < 0.1)
    found = at_prevalence(columns(rows_of(active, called)), {4: 0.05})["f1"]["4"]
    kinds = rng.random((40, 20_000)) < 0.05
    drawn = [
        np.where(kind, rng.choice(np.flatnonzero(active), kind.size), rng.choice(np.flatnonzero(~active), kind.size))
        for kind in kinds
    ]
    of_draws = [f1_score(active[images], called[images]) for images in drawn]
    assert found == pytest.approx(np.mean(of_draws), abs=4 * np.std(of_draws) / np.sqrt(len(of_draws)))


@given(st.integers(0, 10**6))
def test_at_the_samples_own_prevalence_it_is_the_f1_of_the_sample(seed: int) -> None:
    rows = predictions(seed, 60)
    data = columns(rows)
    plain = scores(data)["action_units"]
    own = {
        au: plain["active"][str(au)] / plain["annotated"][str(au)]
        for au in ACTION_UNITS
        if 0 < plain["active"][str(au)] < plain["annotated"][str(au)]
    }
    found = at_prevalence(data, own)["f1"]
    assert found == {str(au): pytest.approx(plain["f1"][str(au)], abs=1e-6) for au in own}


@pytest.mark.parametrize(
    ("given_", "argument"),
    [
        (3, "p=3: no shares"),
        ("x", "p=x: no shares"),
        ({3: 0.1}, r"p\.3=0\.1: no action unit"),
        ({"x": 0.1}, r"p\.x="),
        ({1: 0}, r"p\.1=0: no share"),
        ({1: "a"}, r"p\.1=a"),
    ],
)
def test_what_is_no_prevalence_is_one_line(given_, argument: str) -> None:
    with pytest.raises(UserError, match=argument):
        checked_prevalence("p", given_)


def test_a_prevalence_by_numbers_or_by_their_texts() -> None:
    assert checked_prevalence("p", {"1": 0.5, 26: 1}) == {1: 0.5, 26: 1.0}
    assert checked_prevalence("p", None) == {}
