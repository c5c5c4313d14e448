"""Labels over time: what the other frames of a video say about one, and how fast labels change.

    expression, each AU     a Markov chain in continuous time whose changes lead to any state by its base rate
                            (Felsenstein 1981): after dt seconds a state is kept with exp(-r dt), else drawn anew
    valence, arousal        an Ornstein-Uhlenbeck process: after dt seconds exp(-r dt) of a deviation is left

Both are stationary, and their one rate r is learnt from human labels of neighbouring frames. Given what each frame says
by itself, forward-backward (Rabiner 1989) and the two-filter form of Rauch, Tung & Striebel's smoother (Fraser & Potter
1969) are exact. They are split here into what a frame says itself and what all others say of it, the message, so that a
frame that has no neighbours keeps exactly what was believed of it.

T = frames in the order of time, K = states, S = whatever is smoothed side by side (one expression; 17 AUs; two dims).
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from seke.core.label_prior import Array

SLOWEST, FASTEST = 1e-4, 1e3
"""Rates that can be learnt, per second."""
FEW_CHANGES: Final = 5.0
"""How many changes a pooled rate counts for in that of one source or AU: the logarithm of a rate is known to 1 over
the square root of the changes that were seen."""


def markov_messages(evidence_TSK: Array, base_SK: Array, rate_S: Array, gap_T: Array) -> Array:
    """Return what all other frames say about each, (T, S, K): a likelihood, up to a factor.

    Args:
        evidence_TSK: likelihood of what each frame says, up to a factor; a human label is 1 at its state, else 0.
        base_SK: stationary probabilities.
        rate_S: changes a second, those that lead to the same state counted, too.
        gap_T: seconds since the frame before; the first is of no account.
    """
    evidence_TSK = _scaled(evidence_TSK)
    kept_TS = _kept(rate_S, gap_T)
    before_TSK, after_TSK = _before(evidence_TSK, base_SK, kept_TS), np.empty_like(evidence_TSK)
    last = len(evidence_TSK) - 1
    after_TSK[last] = 1.0
    for t in range(last - 1, -1, -1):
        seen_SK = evidence_TSK[t + 1] * after_TSK[t + 1]
        mean_S1 = (base_SK * seen_SK).sum(axis=1, keepdims=True)
        kept_S1 = kept_TS[t + 1, :, None]
        after_TSK[t] = _scaled(kept_S1 * seen_SK + (1 - kept_S1) * mean_S1)
    message: Array = _scaled(before_TSK / base_SK * after_TSK)
    return message


def markov_log_likelihood(log_TSK: Array, base_SK: Array, rate_S: Array, gap_T: Array) -> Array:
    """Return the logarithm of how likely all evidence of each chain is, (S,): the forward algorithm.

    Args:
        log_TSK: the logarithm of the likelihood of what each frame says.
        base_SK: as in `markov_messages`, like the others.
        rate_S: changes a second.
        gap_T: seconds since the frame before.
    """
    most_TS1 = log_TSK.max(axis=2, keepdims=True)
    evidence_TSK = np.exp(log_TSK - most_TS1)
    seen_TS = (_before(evidence_TSK, base_SK, _kept(rate_S, gap_T)) * evidence_TSK).sum(axis=2)
    total_S: Array = (np.log(np.maximum(seen_TS, 1e-300)) + most_TS1[:, :, 0]).sum(axis=0)
    return total_S


class Gaussian(NamedTuple):
    """Likelihoods that are normal densities, up to a factor, of deviations from the mean."""

    precision_TS: Array
    """0: nothing is said."""
    weighted_TS: Array
    """Precision times the deviation at which it is largest."""


def gaussian_messages(evidence: Gaussian, variance_S: Array, rate_S: Array, gap_T: Array) -> Gaussian:
    """Return what all other frames say about each frame's deviation from the mean.

    Args:
        evidence: what each frame says itself.
        variance_S: of the stationary process.
        rate_S: per second.
        gap_T: seconds since the frame before; the first is of no account.
    """
    kept_TS = np.exp(-np.maximum(gap_T, 0.0)[:, None] * rate_S)
    noise_TS = variance_S * (1 - kept_TS**2)
    precision_TS, weighted_TS = np.zeros_like(evidence.precision_TS), np.zeros_like(evidence.weighted_TS)
    last = len(precision_TS) - 1
    mean_S, spread_S = np.zeros_like(variance_S), variance_S  # of the deviation, given all before
    for t in range(1, last + 1):
        seen_S = 1 / (1 / spread_S + evidence.precision_TS[t - 1])
        mean_S = kept_TS[t] * seen_S * (mean_S / spread_S + evidence.weighted_TS[t - 1])
        spread_S = kept_TS[t] ** 2 * seen_S + noise_TS[t]
        # As a likelihood: the stationary density is what a frame without neighbours is believed to have.
        precision_TS[t] += np.maximum(1 / spread_S - 1 / variance_S, 0.0)
        weighted_TS[t] += mean_S / spread_S
    after_S, pull_S = np.zeros_like(variance_S), np.zeros_like(variance_S)
    for t in range(last - 1, -1, -1):
        after_S, pull_S = after_S + evidence.precision_TS[t + 1], pull_S + evidence.weighted_TS[t + 1]
        share_S = kept_TS[t + 1] / (1 + noise_TS[t + 1] * after_S)
        after_S, pull_S = kept_TS[t + 1] * share_S * after_S, share_S * pull_S
        precision_TS[t] += after_S
        weighted_TS[t] += pull_S
    return Gaussian(precision_TS, weighted_TS)


class Pairs(NamedTuple):
    """Human labels of neighbouring frames, N pairs."""

    same_N: Array
    """Of states: 1 where both are the same, else 0. Of numbers: the earlier deviation from the mean ..."""
    to_N: Array
    """Of states: the base rate of the later one. Of numbers: ... and the later."""
    gap_N: Array
    """Seconds between them."""

    @property
    def changes(self) -> float:
        """How much they tell about a rate: of states, the number of changes."""
        return float((1 - self.same_N).sum())


def markov_rate(pairs: Pairs, towards: float | None = None, strength: float = FEW_CHANGES) -> float:
    """Return the rate of a chain that makes neighbouring labels likeliest, pulled towards another as if by changes.

    P(same) is exp(-r dt) + (1 - exp(-r dt)) base rate, P(another one) is (1 - exp(-r dt)) base rate. The pull is normal
    in log r, with the information of `strength` changes.
    """

    def loss(log_rate: float) -> float:
        kept_N = np.exp(-np.exp(log_rate) * pairs.gap_N)
        p_N = pairs.same_N * kept_N + (1 - kept_N) * pairs.to_N
        return float(-np.log(np.maximum(p_N, 1e-12)).sum()) + _pull(log_rate, towards, strength)

    return _least(loss)


def gaussian_rate(
    pairs: Pairs, variance: float, nugget: float, towards: float | None = None, strength: float = FEW_CHANGES
) -> float:
    """Return the rate of an Ornstein-Uhlenbeck process that makes neighbouring labels likeliest, pulled likewise.

    Args:
        pairs: deviations from the mean.
        variance: of the process.
        nugget: variance of what people's labels have of their own, frame by frame.
        towards: the other rate; None: no pull.
        strength: of the pull.
    """

    def loss(log_rate: float) -> float:
        kept_N = np.exp(-np.exp(log_rate) * pairs.gap_N)
        share_N = kept_N * variance / (variance + nugget)
        spread_N = variance + nugget - share_N * kept_N * variance
        error_N = pairs.to_N - share_N * pairs.same_N
        value = 0.5 * float((error_N**2 / spread_N + np.log(spread_N)).sum())
        return value + _pull(log_rate, towards, strength)

    return _least(loss)


def gaps(times: Sequence[float]) -> Array:
    """Return the seconds since the moment before, (T,); 0 for the first.

    >>> gaps([1.0, 1.5, 3.0]).tolist()
    [0.0, 0.5, 1.5]
    """
    return np.diff(np.asarray(times, dtype=float), prepend=times[0] if len(times) else 0.0)


def _least(loss: Callable[[float], float]) -> float:
    """Return the rate with the least loss: the best of a grid, refined between its neighbours."""
    grid = np.linspace(np.log(SLOWEST), np.log(FASTEST), 33)
    best = int(np.argmin([loss(log_rate) for log_rate in grid]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    return float(np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded").x))


def _pull(log_rate: float, towards: float | None, strength: float) -> float:
    return 0.0 if towards is None else 0.5 * strength * (log_rate - np.log(towards)) ** 2


def _kept(rate_S: Array, gap_T: Array) -> Array:
    kept_TS: Array = np.exp(-np.maximum(gap_T, 0.0)[:, None] * rate_S)
    return kept_TS


def _before(evidence_TSK: Array, base_SK: Array, kept_TS: Array) -> Array:
    """Return P(state | all frames before), (T, S, K): the forward algorithm."""
    before_TSK = np.empty_like(evidence_TSK)
    before_TSK[0] = base_SK
    for t in range(1, len(evidence_TSK)):
        # P(state at t - 1 | ...), kept or drawn anew.
        seen_SK = _normal(before_TSK[t - 1] * evidence_TSK[t - 1], base_SK)
        before_TSK[t] = kept_TS[t, :, None] * seen_SK + (1 - kept_TS[t, :, None]) * base_SK
    return before_TSK


def _scaled(values: Array) -> Array:
    """Return likelihoods whose largest is 1; ones, where labels contradict each other and all are 0."""
    most = values.max(axis=-1, keepdims=True)
    return np.where(most > 0, values / np.where(most > 0, most, 1.0), 1.0)


def _normal(values_SK: Array, otherwise_SK: Array) -> Array:
    total_S1 = values_SK.sum(axis=-1, keepdims=True)
    return np.where(total_S1 > 0, values_SK / np.where(total_S1 > 0, total_S1, 1.0), otherwise_SK)
