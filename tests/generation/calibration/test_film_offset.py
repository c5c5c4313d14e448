"""Errors that all frames of a film share: against enumeration, dense Gaussians and known shares."""

import dataclasses
from itertools import product

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm

from seke.core.label_prior import COLUMN, couplings, tabulate
from seke.core.records import Labels
from seke.generation.calibration import change_rates, film_offset, smoother
from seke.generation.calibration.annotator_model import Beliefs
from seke.generation.calibration.film_offset import Chains, chain_beliefs, gaussian_beliefs
from seke.generation.calibration.over_time import Gaussian

LINKS = couplings([])
GAP = np.array([0.0, 0.3, 0.5, 0.2])
RATE = 0.9


def paths(base, frames):
    """Yield each sequence of states, and the logarithm of its probability."""
    for path in product(range(len(base)), repeat=frames):
        log = np.log(base[path[0]])
        for t in range(1, frames):
            kept = np.exp(-RATE * GAP[t])
            log += np.log(kept * (path[t] == path[t - 1]) + (1 - kept) * base[path[t]])
        yield path, log


def seen(said, base, told, human, asked, gap, power, chains, known=None):
    """Return P(state), (T, K), of one chain; `known`: log-likelihoods of what is known of frames without asking."""
    alone = beliefs(np.zeros_like(said) if known is None else known, base)
    own = np.where(asked[:, None], beliefs(said, alone), alone)
    args = own[:, None], alone[:, None], human[:, None], told[:, None], base[None], np.array([RATE]), gap, power
    return chain_beliefs(*args, chains)[:, 0]


def beliefs(said, base):
    """Return what is believed of frames by themselves that say these log-likelihoods."""
    own = np.exp(said) * base
    return own / own.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("power", [1.0, 0.5])
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_states_of_a_unit_against_enumeration_and_quadrature(share, power):
    base, v = np.array([0.7, 0.3]), 1.3
    odds = np.array([1.4, -0.6, 0.9, 2.0])
    told, asked = np.array([False, True, False, False]), np.array([True, True, False, True])
    human, said = np.eye(2)[[0, 0, 0, 0]], np.stack([-odds / 2, odds / 2], axis=1)
    known = np.array([[0.0, 0.7], [0.0, 0.0], [0.3, 0.0], [0.0, -0.4]])  # tells of its own frame alone
    found = seen(said, base, told, human, asked, GAP, power, Chains(share, np.array([v])), known)

    # log-odds in state 1 are normal around v with variance 2 v, of which `share` is the film's; in state 0 around -v.
    z, weight = np.polynomial.hermite_e.hermegauss(80)
    of_film = np.sqrt(2 * v * share) * z

    def log_likelihood(t, state):
        if told[t]:
            return np.log(float(state == 0) + 1e-300) + 0 * z
        if not asked[t]:
            return 0 * z
        return norm.logpdf(odds[t], (2 * state - 1) * v + of_film, np.sqrt(2 * v * (1 - share)))

    for frame in np.flatnonzero(~told):
        total = np.zeros(2)
        for path, log in paths(base, 4):
            terms = [(1.0 if t == frame or told[t] else power) * log_likelihood(t, path[t]) for t in range(4)]
            total[path[frame]] += (weight * np.exp(log + known[frame, path[frame]] + sum(terms))).sum()
        np.testing.assert_allclose(found[frame], total / total.sum(), rtol=1e-5)


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_expressions_against_enumeration_and_dense_gaussians(share):
    base, v, frames = np.array([0.5, 0.3, 0.2]), 1.5, 4
    said = np.random.default_rng(1).normal(size=(frames, 3)) * 1.5
    said -= said.mean(axis=1, keepdims=True)
    told = np.array([False, False, True, False])
    human, asked = np.eye(3)[[0, 0, 1, 0]], np.ones(frames, bool)
    found = seen(said, base, told, human, asked, GAP, 1.0, Chains(share, np.array([v])))
    basis = np.linalg.svd(np.eye(3) - 1 / 3)[0][:, :2]
    heard = np.flatnonzero(~told)
    spread = v * np.kron(share * np.ones((3, 3)) + (1 - share) * np.eye(3), np.eye(2))
    logs = []
    for path, log in paths(base, frames):
        mean = (v * (np.eye(3)[list(path)] - 1 / 3))[heard] @ basis
        likely = multivariate_normal.logpdf((said[heard] @ basis).ravel(), mean.ravel(), spread)
        logs.append((path, log + likely + np.log(float(path[2] == 1) + 1e-300)))
    total = logsumexp([log for _, log in logs])
    expected = np.zeros((frames, 3))
    for path, log in logs:
        expected[range(frames), path] += np.exp(log - total)
    np.testing.assert_allclose(found[heard], expected[heard], atol=0.02)


def test_expressions_of_eight_classes_against_ten_thousand_draws_of_the_offset(monkeypatch):
    rng, share, v, frames = np.random.default_rng(3), 0.5, 3.0, 12
    truth = np.repeat([2, 5], 6)
    shift, own = rng.normal(size=8), rng.normal(size=(frames, 8))
    said = v * np.eye(8)[truth] + np.sqrt(v) * (np.sqrt(share) * shift + np.sqrt(1 - share) * own)
    said -= said.mean(axis=1, keepdims=True)
    nobody, every = np.zeros(frames, bool), np.ones(frames, bool)
    args = said, np.full(8, 1 / 8), nobody, np.zeros((frames, 8)), every, np.full(frames, 0.25), 1.0
    found = seen(*args, Chains(share, np.array([v])))
    monkeypatch.setattr(film_offset, "AROUND", 2000)
    np.testing.assert_allclose(found, seen(*args, Chains(share, np.array([v]))), atol=0.06)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
def test_valence_against_a_dense_gaussian(share):
    rng, variance = np.random.default_rng(2), 0.09
    said_T = np.array([20.0, 9.0, 0.0, 35.0])
    y_T = rng.normal(size=4)
    human_T = np.array([0.0, 400.0, 0.0, 0.0])
    asked_T = np.array([True, True, True, False])
    mean, spread = (
        each[:, 0]
        for each in gaussian_beliefs(
            Gaussian(said_T[:, None], (said_T * y_T)[:, None]), Gaussian(human_T[:, None], human_T[:, None] * 0.2),
            asked_T, np.array([variance]), np.array([RATE]), GAP, np.array([share]),
        )
    )  # fmt: skip
    times = np.cumsum(GAP)
    prior = variance * np.exp(-RATE * np.abs(times[:, None] - times))
    # Seen are frames 0 and 3 (of which the annotator was not asked), and the human label of frame 1.
    seen, value = [0, 1, 3], np.array([y_T[0], 0.2, y_T[3]])
    alike = np.array([np.sqrt(share / 20.0), 0.0, 0.0])
    noise = np.diag([(1 - share) / 20.0, 1 / 400.0, 1 / 35.0]) + np.outer(alike, alike)
    gain = prior[:, seen] @ np.linalg.inv(prior[np.ix_(seen, seen)] + noise)
    np.testing.assert_allclose(mean, gain @ value, rtol=1e-8)
    np.testing.assert_allclose(spread, np.diag(prior - gain @ prior[seen]), rtol=1e-8)


def test_valence_of_frames_that_share_errors_against_a_dense_gaussian():
    variance, share, said_T = 0.09, 0.6, np.array([20.0, 9.0, 12.0, 35.0])
    y_T = np.array([0.4, 0.1, -0.2, 0.5])
    nothing, every = Gaussian(np.zeros((4, 1)), np.zeros((4, 1))), np.ones(4, bool)
    process = np.array([variance]), np.array([RATE]), GAP, np.array([share])
    mean, spread = gaussian_beliefs(Gaussian(said_T[:, None], (said_T * y_T)[:, None]), nothing, every, *process)
    times = np.cumsum(GAP)
    prior = variance * np.exp(-RATE * np.abs(times[:, None] - times))
    alike = np.sqrt(share / said_T)
    gain = prior @ np.linalg.inv(prior + np.diag((1 - share) / said_T) + np.outer(alike, alike))
    np.testing.assert_allclose(mean[:, 0], gain @ y_T, rtol=1e-8)
    np.testing.assert_allclose(spread[:, 0], np.diag(prior - gain @ prior), rtol=1e-8)


def unasked(frames):
    mean_D, variance_D = change_rates.moments(LINKS)
    each = (LINKS.expression_E, LINKS.base_A, mean_D, variance_D**0.5)
    return Beliefs(*(np.tile(value, (frames, 1)) for value in each))


def film(frames=6):
    rng = np.random.default_rng(4)
    p = rng.dirichlet(np.ones(8), frames)
    active, mean = rng.uniform(0.02, 0.98, (frames, 17)), rng.uniform(-0.5, 0.5, (frames, 2))
    sd = np.full((frames, 2), 0.15)
    known = tabulate(
        [Labels(), Labels(expression="fear", valence=0.3, action_units={4: True}), *[Labels()] * (frames - 2)]
    )
    return Beliefs(p, active, mean, sd), known, tuple(0.3 * k for k in range(frames))


def smoothed(share, power=0.5, offset=True):
    own, known, times = film()
    rates = change_rates.Rates(0.8, np.full(17, 0.8), np.array([0.8, 0.8]))
    names = ("expression", "va", "au")
    options = dict.fromkeys(names, smoother.Option(power, offset))
    offsets = film_offset.Offsets(Chains(share, np.array([4.0])), Chains(share, np.full(17, 2.0)), np.full(2, share))
    return smoother.smooth(own, unasked(len(times)), known, times, rates, options, LINKS, offsets)


def test_without_a_share_films_are_smoothed_exactly_as_without_offsets():
    for a, b in zip(smoothed(0.0), smoothed(0.5, offset=False), strict=True):
        assert (a == b).all()


def test_a_vanishing_share_changes_nothing():
    others = np.array([0, 2, 3, 4, 5])  # what is believed of a frame that people labelled is of no account
    for a, b in zip(smoothed(1e-7, power=1.0), smoothed(0.0, power=1.0), strict=True):
        np.testing.assert_allclose(a[others], b[others], atol=2e-3)


def test_frames_far_apart_in_time_are_told_nothing_but_the_shared_error():
    base, chains = np.array([0.7, 0.3]), Chains(0.6, np.array([1.3]))
    said = np.array([[-0.6, 0.6]])
    nobody, every, never = np.zeros(1, bool), np.ones(1, bool), np.zeros((1, 2))
    alone = beliefs(said, base)
    np.testing.assert_allclose(seen(said, base, nobody, never, every, np.zeros(1), 1.0, chains), alone, atol=1e-6)
    # Every frame says "active" by as much, days apart: what they have in common is the annotator's.
    frames = 30
    many = np.tile([-1.3, 1.3], (frames, 1))
    args = np.zeros(frames, bool), np.zeros((frames, 2)), np.ones(frames, bool), np.full(frames, 1e6), 1.0, chains
    assert (seen(many, base, *args)[:, 1] < 0.9 * beliefs(many, base)[:, 1]).all()


@pytest.mark.parametrize("share", [0.0, 0.5, 0.8])
def test_the_share_is_learnt_from_human_labels(share):
    rng, films, frames = np.random.default_rng(5), 60, 10
    film_N = np.repeat(np.arange(films), frames)
    of_film, own = rng.normal(size=(films, 8))[film_N], rng.normal(size=(films * frames, 8))
    errors = np.sqrt(share) * of_film + np.sqrt(1 - share) * own
    assert film_offset.shared(errors, film_N) == pytest.approx(share, abs=0.06)
    labels = [
        Labels(expression=("fear", "anger")[k % 2], valence=0.1 * (k % 5), arousal=0.2) for k in range(len(film_N))
    ]
    truth, v = tabulate(labels), 3.0
    said = v * truth.expression_NE + np.sqrt(v) * errors
    mean_D, variance_D = change_rates.moments(LINKS)
    sd = 0.2
    value_ND = truth.va_ND + sd * errors[:, :2]
    precision_D = 1 / variance_D + sd**-2
    own_ND = mean_D + (value_ND - mean_D) / sd**2 / precision_D
    asked = Beliefs(
        beliefs(said, LINKS.expression_E), np.tile(LINKS.base_A, (len(film_N), 1)), own_ND,
        np.tile(precision_D**-0.5, (len(film_N), 1)),
    )  # fmt: skip
    found = film_offset.learn(asked, unasked(len(film_N)), truth, film_N, LINKS)
    assert found.expression.share == pytest.approx(share, abs=0.08)
    assert found.expression.v_S[0] == pytest.approx(v, rel=0.1)
    assert found.va_D == pytest.approx(share, abs=0.15)
    assert found.units.share == 0.0
    assert film_offset.shared(errors[:20], film_N[:20]) == 0.0, "of two films nobody knows"


def test_long_videos_are_taken_in_stretches():
    frames, base, chains = 300, np.array([0.5, 0.5]), Chains(0.5, np.array([1.0]))
    odds = np.random.default_rng(0).normal(size=frames)
    said = np.stack([-odds / 2, odds / 2], axis=1)
    nobody, never, every = np.zeros(frames, bool), np.zeros((frames, 2)), np.ones(frames, bool)
    gap = np.full(frames, 0.1)
    whole = seen(said, base, nobody, never, every, gap, 1.0, chains)
    half = slice(150)
    first = seen(said[half], base, nobody[half], never[half], every[half], gap[half], 1.0, chains)
    np.testing.assert_allclose(whole[half], first)


def test_what_was_said_of_frames_that_people_labelled_tells_how_the_annotator_errs_in_their_video():
    frames, names = 6, ("expression", "va", "au")
    video = change_rates.Video(
        "bp4d", "bp4d/s0", tuple(f"f{k}" for k in range(frames)), tuple(1e5 * k for k in range(6))
    )
    mean_D, variance_D = change_rates.moments(LINKS)
    p_E = beliefs(2.0 * np.eye(8)[2], LINKS.expression_E)
    own = Beliefs(
        np.tile(p_E, (frames, 1)), np.full((frames, 17), 0.9), np.tile(mean_D + 0.4, (frames, 1)),
        np.tile(0.5 * variance_D**0.5, (frames, 1)),
    )  # fmt: skip
    # The annotator says the same of all, and people say otherwise of all but the last.
    other = Labels(expression="happiness", valence=-0.5, arousal=-0.5, action_units={4: False, 12: False})
    known = tabulate([*[other] * (frames - 1), Labels()])
    rates = change_rates.Rates(0.8, np.full(17, 0.8), np.array([0.8, 0.8]))
    option = smoother.Option(1.0, offset=True)
    judged = smoother.Judged(option, {}, smoother.Gain(1.0, 0.1, 9), {}, smoother.Gain(1.0, 0.1, 9), ())
    offsets = film_offset.Offsets(Chains(0.8, np.array([3.0])), Chains(0.8, np.full(17, 3.0)), np.full(2, 0.8))
    alone = unasked(frames)
    lesson = smoother.Lesson(*(Beliefs(*(column[:1] for column in each)) for each in (own, alone)))
    untaught = smoother.Smoother(
        change_rates.Learnt({"bp4d": rates}, {}), offsets, LINKS, dict.fromkeys(names, judged), ("bp4d",), 1
    )
    taught = dataclasses.replace(untaught, lessons=dict.fromkeys(video.ids[:-1], lesson))
    before, after = (each.smoothed(video, own, alone, known) for each in (untaught, taught))
    assert after.p_NE.shape == before.p_NE.shape
    assert after.p_NE[-1, 2] < before.p_NE[-1, 2] - 0.1, "it says so of this film's other faces, too"
    assert after.active_NA[-1, COLUMN[4]] < before.active_NA[-1, COLUMN[4]] - 0.2
    assert (after.mean_ND[-1] < before.mean_ND[-1] - 0.1).all()
    assert after.active_NA[-1, COLUMN[1]] == pytest.approx(before.active_NA[-1, COLUMN[1]]), "nobody labelled AU 1"
