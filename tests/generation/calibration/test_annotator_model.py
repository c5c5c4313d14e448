"""The annotator model against distributions it was drawn from, brute force, and scipy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import gammaln

from seke.core.affect import ACTION_UNITS, EXPRESSIONS
from seke.core.label_prior import couplings
from seke.core.records import Labels
from seke.generation.calibration import annotator_model as model
from seke.generation.calibration.annotator_model import (
    Annotator,
    BetaBinomial,
    Channel,
    Masked,
    fit_beta_binomial,
    fit_channel,
    fit_votes,
    votes,
)
from seke.generation.calibration.fit import conformal_threshold, error, fit, half
from seke.generation.calibration.posterior import confidence, f1_threshold

EVEN = Annotator(
    couplings=couplings([]),
    weight=0.0,
    active=dict.fromkeys(ACTION_UNITS, BetaBinomial(1, 9)),
    inactive=dict.fromkeys(ACTION_UNITS, BetaBinomial(0.01, 9.99)),
    votes_EE=np.eye(8) * 4 + 0.5,
    valence=Channel(0.1, 0.5, 0.1, 0.2),
    arousal=Channel(0.0, 1.0, 0.1, 0.2),
    thresholds=dict.fromkeys(ACTION_UNITS, 0.5),
)
labels = st.builds(
    Labels,
    expression=st.none() | st.sampled_from(EXPRESSIONS),
    valence=st.none() | st.floats(-1, 1),
    arousal=st.none() | st.floats(-1, 1),
    action_units=st.none() | st.dictionaries(st.sampled_from(list(ACTION_UNITS)), st.booleans(), min_size=1),
)


def draws_of(shape: Labels, rng: np.random.Generator, number: int) -> list[Labels]:
    units = shape.action_units
    return [
        Labels(
            expression=str(rng.choice(EXPRESSIONS)) if shape.expression else None,
            valence=float(rng.uniform(-1, 1)) if shape.valence is not None else None,
            arousal=float(rng.uniform(-1, 1)) if shape.arousal is not None else None,
            action_units={au: bool(rng.random() < 0.5) for au in units} if units else None,
        )
        for _ in range(number)
    ]


def test_beta_binomial_against_scipy():
    k, n = np.arange(6.0), np.full(6, 5.0)
    pmf = np.exp(BetaBinomial(0.7, 2.1).log_pmf(k, n)) * stats.binom(5, 0.5).pmf(k) * 2**5
    np.testing.assert_allclose(pmf, stats.betabinom(5, 0.7, 2.1).pmf(k))


def test_dirichlet_multinomial_against_scipy():
    alpha, counts = np.array([0.5, 2.0, 1.0]), np.array([1.0, 3.0, 1.0])
    coefficient = gammaln(6) - gammaln(counts + 1).sum()
    expected = stats.dirichlet_multinomial(alpha, 5).logpmf(counts.astype(int))
    np.testing.assert_allclose(model.dirichlet_multinomial(alpha, counts) + coefficient, expected)


def test_fits_find_what_data_was_drawn_from():
    rng = np.random.default_rng(0)
    n = np.full(4000, 5.0)
    k = rng.binomial(5, rng.beta(0.6, 1.4, 4000)).astype(float)
    found = fit_beta_binomial(k, n)
    assert found.a == pytest.approx(0.6, rel=0.15)
    assert found.b == pytest.approx(1.4, rel=0.15)
    truth = rng.uniform(-1, 1, 3000)
    per_image = 0.1 + 0.6 * truth + rng.normal(0, 0.2, 3000)
    channel = fit_channel(truth.tolist(), (per_image[:, None] + rng.normal(0, 0.1, (3000, 5))).tolist())
    assert channel == pytest.approx((0.1, 0.6, 0.2, 0.1), abs=0.02)


def test_an_action_unit_with_few_images_behaves_like_the_others():
    pooled = BetaBinomial(0.2, 1.8)
    alone = fit_beta_binomial(np.array([5.0]), np.array([5.0]), towards=pooled)
    assert alone.a / (alone.a + alone.b) < 0.25


def test_confusions_are_learnt_per_true_expression():
    said = [votes([Labels(expression=name)] * 5) for name in ["surprise"] * 50 + ["anger"] * 50]
    found = fit_votes(["fear"] * 50 + ["anger"] * 50, said)
    fear, anger = found[EXPRESSIONS.index("fear")], found[EXPRESSIONS.index("anger")]
    assert EXPRESSIONS[int(fear.argmax())] == "surprise"
    assert EXPRESSIONS[int(anger.argmax())] == "anger"


def test_an_expression_without_images_is_named_and_mistaken_as_the_others():
    """Eight in ten are named rightly, the others taken for neutral; nobody was ever truly disgusted."""
    truths = [name for name in EXPRESSIONS if name != "disgust"] * 10
    said = [votes([Labels(expression=name if number % 50 < 40 else "neutral")]) for number, name in enumerate(truths)]
    found = fit_votes(truths, said)
    disgust_E = found[EXPRESSIONS.index("disgust")]
    disgust = dict(zip(EXPRESSIONS, disgust_E / disgust_E.sum(), strict=True))
    assert disgust["disgust"] == pytest.approx(0.88, abs=0.02)  # whoever says neutral of a neutral face is right
    assert max(disgust, key=lambda name: disgust[name] * (name != "disgust")) == "neutral"
    assert min(disgust.values()) > 0


@given(labels, labels, st.integers(1, 5), st.floats(0, 1), st.integers(0, 2**32))
def test_a_posterior_is_a_distribution_over_exactly_what_was_drawn(known, shape, number, weight, seed):
    draws = draws_of(shape, np.random.default_rng(seed), number)
    belief = Annotator(**{**vars(EVEN), "weight": weight}).posterior(known, draws)
    assert (belief.expression is not None) == (shape.expression is not None)
    if belief.expression is not None:
        assert sum(belief.expression.values()) == pytest.approx(1)
    assert set(belief.action_units) == set(shape.action_units or {})
    assert all(0 <= p <= 1 for p in belief.action_units.values())
    for name in ("valence", "arousal"):
        assert (getattr(belief, name) is not None) == (getattr(shape, name) is not None)
    decided = EVEN.decide(belief)
    assert set(decided.action_units or {}) == set(shape.action_units or {})
    sure = confidence(belief, decided)
    numbers = [v for v in sure.values() if isinstance(v, float)] + list(sure.get("action_units", {}).values())
    assert all(0 <= p <= 1 for p in numbers)


@given(st.integers(0, 5), st.integers(0, 2**32))
def test_the_posterior_of_one_action_unit_against_bayes_by_hand(k, seed):
    links = couplings([])
    belief = EVEN.posterior(Labels(), [Labels(action_units={14: number < k}) for number in range(5)])
    prior = links.base_A[list(ACTION_UNITS).index(14)]
    yes, no = (stats.betabinom(5, *channel[14]).pmf(k) for channel in (EVEN.active, EVEN.inactive))
    assert belief.action_units[14] == pytest.approx(prior * yes / (prior * yes + (1 - prior) * no))


def test_an_image_of_known_expression_has_the_base_rate_of_such_images():
    """AU6 is rare in films, which have no expression, and common in pictures, which have one."""
    films = [Labels(action_units={6: number % 20 == 0}) for number in range(400)]
    pictures = [Labels(expression="happiness", action_units={6: number % 5 > 0}) for number in range(400)]
    taught = Annotator(**{**vars(EVEN), "couplings": couplings([*films, *pictures]), "weight": 0.0})
    silent = [Labels(action_units={6: False})] * 2
    rates = {}
    for known in (Labels(), Labels(expression="happiness")):
        yes, no = (stats.betabinom(2, *channel[6]).pmf(0) for channel in (EVEN.active, EVEN.inactive))
        odds = taught.posterior(known, silent).action_units[6]
        odds = odds / (1 - odds) * no / yes
        rates[known.expression] = odds / (1 + odds)
    assert rates[None] == pytest.approx(0.425, abs=0.02)
    assert rates["happiness"] == pytest.approx(0.8, abs=0.02)


def test_an_au_that_no_expression_was_told_beside_keeps_its_base_rate():
    links = couplings([Labels(action_units={9: False})] * 500)
    place = list(ACTION_UNITS).index(9)
    assert links.base_told_A[place] == pytest.approx(links.base_A[place]) == pytest.approx(0.0, abs=0.01)


def test_valence_is_corrected_for_bias_and_slope():
    said = [Labels(valence=0.1 + 0.5 * 0.6)] * 50
    clear = Annotator(**{**vars(EVEN), "valence": Channel(0.1, 0.5, 0.01, 0.2)})
    mean, sd = clear.posterior(Labels(), said).valence
    assert mean == pytest.approx(0.6, abs=0.03)
    assert sd < 0.1


def test_a_rare_answer_of_a_reluctant_annotator_outvotes_four_silent_ones():
    draws = [Labels(action_units={14: number == 0}) for number in range(5)]
    assert EVEN.posterior(Labels(), draws).action_units[14] > 0.5


def test_a_known_expression_moves_action_units_by_the_weight_of_the_couplings():
    silent = [Labels(action_units={12: False})] * 3

    def p(weight: float) -> float:
        happy = Annotator(**{**vars(EVEN), "weight": weight})
        return happy.posterior(Labels(expression="happiness"), silent).action_units[12]

    assert p(0.0) < p(0.5) < p(1.0)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_the_threshold_gives_the_best_expected_f1_of_all_cuts(p):
    ranked = sorted(p, reverse=True)

    def f1(m: int) -> float:
        return 2 * sum(ranked[:m]) / (m + sum(ranked)) if m + sum(ranked) else 0.0

    best = max(map(f1, range(len(p) + 1)))
    threshold = f1_threshold(p)
    assert threshold == pytest.approx(min(max(best / 2, 0.05), 0.5)) or best == 0


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 5)), min_size=1, max_size=12))
def test_a_weight_stands_for_so_many_images(pairs):
    p, weights = zip(*pairs, strict=True)
    repeated = [value for value, times in pairs for _ in range(times)]
    assert f1_threshold(p, weights) == pytest.approx(f1_threshold(repeated))


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.2, 0.3]), st.floats(0, 1)), min_size=1, max_size=40),
    st.floats(0.01, 0.5),
)
def test_conformal_threshold_against_its_definition(pairs, alpha):
    scores, losses = zip(*pairs, strict=True)
    n = len(pairs)

    def allowed(tau: float) -> bool:
        risk = sum(loss for score, loss in pairs if score <= tau)
        return (risk + 1) / (n + 1) <= alpha

    wanted = [tau for tau in sorted(set(scores)) if allowed(tau)]
    found = conformal_threshold(scores, losses, alpha)
    assert found == (max(wanted) if wanted else None)


@given(labels, labels)
def test_error_is_the_share_of_wrong_labels(said, truth):
    found = error(said, truth)
    assert found is None or 0 <= found <= 1
    own = error(truth, truth)
    assert own in (0, None)


def test_a_fitted_annotator_reads_a_reluctant_one_better_than_its_majority():
    rng = np.random.default_rng(3)

    def image(number: int) -> Masked:
        truth = {au: bool(rng.random() < 0.3) for au in ACTION_UNITS}
        p = {au: rng.beta(1, 4) if active else rng.beta(0.05, 5) for au, active in truth.items()}
        draws = tuple(Labels(action_units={au: bool(rng.random() < p[au]) for au in truth}) for _ in range(5))
        return Masked(
            id=str(number), subject=str(number), truth=Labels(action_units=truth), known=Labels(), draws=draws
        )

    fitted = fit([image(number) for number in range(200)], couplings([]))
    right = hits = 0
    for number in range(200, 300):
        masked = image(number)
        decided = fitted.decide(fitted.posterior(Labels(), masked.draws)).action_units
        for au, active in masked.truth.action_units.items():
            votes = sum(draw.action_units[au] for draw in masked.draws)
            right += decided[au] == active
            hits += (votes > 2) == active
    assert right > hits + 50


def test_subjects_fall_on_two_sides():
    assert {half(f"S{number}") for number in range(20)} == {0, 1}
