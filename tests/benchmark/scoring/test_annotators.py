"""Agreement of annotators: every measure against a library, or against the tables of the paper that defines it."""

from itertools import combinations

import krippendorff
import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from seke.benchmark.scoring.annotators import DIMENSIONS, Annotated, compared, differing, kappa, said
from seke.benchmark.scoring.arrays import AUS, UNKNOWN
from seke.benchmark.scoring.intensity import icc, sums
from seke.core.affect import EXPRESSIONS

BLAND_ALTMAN = np.array(
    [(494, 512), (395, 430), (516, 520), (434, 428), (476, 500), (557, 600), (413, 364), (442, 380), (650, 658),
     (433, 445), (417, 432), (656, 626), (267, 260), (478, 477), (178, 259), (423, 350), (427, 451)], dtype=np.float64,
)  # fmt: skip
"""Peak flow by two meters, of 17 people (Bland & Altman 1986): mean difference -2.1 l/min, SD 38.8."""


def annotated(seed: int, images: int = 60, coders: int = 3, known: float = 0.8, subjects: int = 12) -> Annotated:
    """Random annotators that agree more often than by chance, with holes."""
    rng = np.random.default_rng(seed)

    def held(values, empty):
        return np.where(rng.random(values.shape) < known, values, empty)

    expression, unit = rng.integers(0, 8, images), rng.random((images, len(AUS))) < 0.3
    affect = rng.uniform(-0.8, 0.8, (images, 2))
    differ = rng.random((coders, images)) < 0.3
    return Annotated(
        tuple("abcd"[:coders]),
        held(np.where(differ, rng.integers(0, 8, (coders, images)), expression), UNKNOWN).astype(np.int64),
        held(unit ^ (rng.random((coders, images, len(AUS))) < 0.2), UNKNOWN).astype(np.int64),
        held(np.clip(affect + rng.normal(0, 0.2, (coders, images, 2)), -1, 1), np.nan),
        rng.integers(0, subjects, images),
    )


def with_gaps(codes):
    return np.where(codes == UNKNOWN, np.nan, codes.astype(float))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("coders", [2, 3])
def test_alpha_against_the_krippendorff_package(seed: int, coders: int) -> None:
    data = annotated(seed, coders=coders)
    found = compared(data, draws=20)
    nominal = {"level_of_measurement": "nominal"}
    expected = krippendorff.alpha(with_gaps(data.expression_KN), value_domain=range(8), **nominal)
    assert found["expression"]["alpha"] == pytest.approx(expected, abs=1e-9)
    for a, au in enumerate(AUS):
        expected = krippendorff.alpha(with_gaps(data.au_KNA[..., a]), value_domain=[0, 1], **nominal)
        assert found["action_units"]["alpha"][str(au)] == pytest.approx(expected, abs=1e-9)
    for t, name in enumerate(DIMENSIONS):
        expected = krippendorff.alpha(data.va_KN2[..., t], level_of_measurement="interval")
        assert found[name]["alpha"] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_kappa_against_scikit_learn(seed: int) -> None:
    data = annotated(seed)
    pairs = compared(data, draws=20)["pairs"]
    assert [(pair["first"], pair["second"]) for pair in pairs] == list(combinations("abc", 2))
    for pair, (one, two) in zip(pairs, combinations(range(3), 2), strict=True):
        both = (data.expression_KN[[one, two]] != UNKNOWN).all(0)
        expected = cohen_kappa_score(*data.expression_KN[[one, two]][:, both], labels=range(8))
        assert pair["expression"]["kappa"] == pytest.approx(expected, abs=1e-9)
        assert pair["expression"]["n"] == both.sum()
        same = data.expression_KN[one, both] == data.expression_KN[two, both]
        assert pair["expression"]["agreement"] == pytest.approx(same.mean())
        kappas = []
        for a, au in enumerate(AUS):
            codes = data.au_KNA[[one, two], :, a]
            codes = codes[:, (codes != UNKNOWN).all(0)]
            kappas.append(cohen_kappa_score(*codes, labels=[0, 1]))
            assert pair["action_units"]["kappa"][str(au)] == pytest.approx(kappas[-1], abs=1e-9)
        assert pair["action_units"]["kappa_mean"] == pytest.approx(np.mean(kappas))


def pair_of(values_N2) -> dict:
    """Compare two annotators' valences; arousal and the rest are not said."""
    count = len(values_N2)
    affect = np.full((2, count, 2), np.nan)
    affect[..., 0] = np.asarray(values_N2).T
    nothing = np.full((2, count), UNKNOWN), np.full((2, count, len(AUS)), UNKNOWN)
    [pair] = compared(Annotated(("a", "b"), *nothing, affect, np.arange(count)), draws=500)["pairs"]
    return pair


def test_limits_of_agreement_against_the_data_of_bland_and_altman() -> None:
    found = pair_of(BLAND_ALTMAN / 1000)["valence"]
    assert [round(1000 * found[name], 1) for name in ("bias", "sd")] == [-2.1, 38.8]
    # The paper rounds the standard deviation first, and takes 2 of them.
    assert [round(1000 * found[name]) for name in ("loa_low", "loa_high")] == [-78, 74]
    assert found["icc"] == pytest.approx(float(icc(sums(BLAND_ALTMAN / 1000)).two_one))
    assert found["within"] == 1.0 and found["n"] == 17


def test_intervals_hold_their_value_and_are_by_subject() -> None:
    found = compared(annotated(0, images=200, subjects=40))
    low, high = found["ci95"]["expression"]["alpha"]
    assert low < found["expression"]["alpha"] < high
    [first, *_] = found["pairs"]
    for task, name in (
        ("expression", "kappa"),
        ("action_units", "kappa_mean"),
        ("valence", "icc"),
        ("arousal", "bias"),
    ):
        low, high = first["ci95"][task][name]
        assert low < first[task][name] < high
    # The same images thrice are no further evidence: resampled by subject, intervals stay as wide.
    one = annotated(1, images=60, subjects=20)
    thrice = Annotated(
        one.names, *(np.repeat(values, 3, axis=1) for values in (one.expression_KN, one.au_KNA, one.va_KN2)),
        np.repeat(one.group_N, 3),
    )  # fmt: skip
    before, after = (compared(data)["pairs"][0]["ci95"]["expression"]["kappa"] for data in (one, thrice))
    assert np.subtract(*after) == pytest.approx(np.subtract(*before), rel=0.02)


def test_what_is_not_defined_is_none() -> None:
    found = pair_of([[0.1, 0.1], [0.1, 0.1], [0.1, 0.1]])  # nothing varies
    assert found["valence"]["icc"] is None and found["ci95"]["valence"]["icc"] is None
    assert found["valence"]["bias"] == 0.0
    assert found["arousal"] == {
        "n": 0, "icc": None, "within": None, "bias": None, "sd": None, "loa_low": None, "loa_high": None
    }  # fmt: skip
    assert found["expression"] == {"n": 0, "agreement": None, "kappa": None}
    assert np.isnan(kappa(np.array([[5.0, 0.0], [0.0, 0.0]])))  # both say the same one thing, always


def test_who_says_nothing_differs_from_nobody_and_a_fifth_apart_is_no_difference() -> None:
    data = annotated(0, images=3, coders=2, known=1.0)
    data.expression_KN[:] = [[0, 1, UNKNOWN], [0, 2, 3]]
    data.va_KN2[..., 0] = [[0.1, np.nan, 0.5], [0.3, 0.9, 0.1]]
    data.va_KN2[..., 1] = 0.0
    data.au_KNA[:] = UNKNOWN
    data.au_KNA[:, 1, 0] = [1, 0]
    data.au_KNA[:, 2, 1] = [1, UNKNOWN]
    where = differing(data)
    assert where.any_N.tolist() == [False, True, True]
    assert [list(said(data, place, where)) for place in range(3)] == [
        [],
        [("expression", [EXPRESSIONS[1], EXPRESSIONS[2]]), ("AU1", [1, 0])],
        [("valence", [0.5, 0.1])],
    ]
