"""The film's own offset: an annotator's errors that all frames of a video share, which no average over them undoes.

What the annotator says of a frame's K states, log-likelihoods l centred to a sum of 0, is taken as calibrated and
normal, as log likelihood ratios of normal observations are (van Leeuwen & Bruemmer 2013): in state k

    l = v (e_k - 1/K) + sqrt(v) (sqrt(share) u + sqrt(1 - share) e),     u, e ~ N(0, I - 11'/K)

where u is one for all frames of a video and e one of each. Of valence and arousal, y = x + sqrt(R) (sqrt(share) u +
sqrt(1 - share) e) with R as the frame's belief has it. A frame by itself then says exactly what it said before; with
a share of 0 frames err independently. u is summed over: of two states (an action unit) on a grid, of valence and
arousal in closed form, of eight expressions by importance sampling around the modes. `share` and v come from held-out
human labels (`learn`: type-II maximum likelihood, or empirical Bayes).

T = frames in the order of time, S = chains side by side, K = states, P = values of u, N = rows of the pilot.
"""

from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from seke.core.label_prior import AUS, Array, Couplings, Table
from seke.generation.calibration.annotator_model import Beliefs
from seke.generation.calibration.change_rates import moments
from seke.generation.calibration.over_time import Gaussian, gaussian_messages, markov_log_likelihood, markov_messages

LARGEST: Final = 0.95
"""No share is taken to be larger: frames of one video never err in exactly the same way."""
FEWEST_FILMS: Final = 6
"""With two or more human-labelled frames each; of fewer nobody knows what they share."""
LONGEST: Final = 256
"""Frames that share an offset; longer videos are taken in stretches, as pilots show no more than 64 frames of each."""
REACH: Final = 6.0
"""The grid's, in standard deviations of u."""
AROUND, ANYWHERE = 32, 64
"""Draws of importance sampling around each mode, and from the prior."""
WIDER: Final = 1.4
"""Than the posterior of u at a mode, given its states: states are in doubt, too."""
ROUNDS: Final = 5
"""Of coordinate ascent towards a mode."""
SUREST: Final = 1e-6
"""No state of a frame that people did not label is less probable."""
SILENT: Final = 1e-9
"""Log-likelihoods that differ by less say nothing."""


Mask = NDArray[np.bool_]


class Chains(NamedTuple):
    """How annotators err about states that are smoothed side by side."""

    share: float
    """Of the variance of errors that a video's frames share, in [0, `LARGEST`]."""
    v_S: Array
    """How much a frame says, v; 0 where none says anything."""


class Offsets(NamedTuple):
    """What frames of a video share, by description."""

    expression: Chains
    units: Chains
    va_D: Array
    """The shares of valence and arousal."""

    def share(self, name: str) -> float:
        """Return the (largest) share of a description's errors."""
        shares = {"expression": self.expression.share, "au": self.units.share, "va": float(self.va_D.max())}
        return shares[name]


def none() -> Offsets:
    """Return no offsets: frames err independently."""
    return Offsets(Chains(0.0, np.zeros(1)), Chains(0.0, np.zeros(len(AUS))), np.zeros(2))


def learn(asked: Beliefs, alone: Beliefs, truth: Table, film_N: NDArray[np.int_], links: Couplings) -> Offsets:
    """Return what frames share, from human-labelled ones about which the annotator was asked.

    Args:
        asked: what is believed of N frames by what others' labels have taught ...
        alone: ... and what would be if nobody had been asked; where that is the same, nobody was.
        truth: their human labels.
        film_N: the video of each, a whole number.
        links: base rates.
    """
    named_N = truth.expression_NE.any(axis=1)
    state_N1 = np.where(named_N, truth.expression_NE.argmax(axis=1), -1)[:, None]
    state_NA = np.where(np.isnan(truth.units_NA), -1, np.nan_to_num(truth.units_NA)).astype(int)
    expression = _chains(_centred(asked.p_NE[:, None], alone.p_NE[:, None]), state_N1, film_N)
    units = _chains(_centred(both(asked.active_NA), both(alone.active_NA)), state_NA, film_N)
    centre_D, variance_D = moments(links)
    said_ND, pull_ND = evidence_of(asked.mean_ND, asked.sd_ND, centre_D, variance_D)
    error_ND = np.full_like(said_ND, np.nan)
    told_ND = (said_ND > 0) & ~np.isnan(truth.va_ND) & heard_va(asked, alone)[:, None]
    y_ND = pull_ND / np.where(said_ND > 0, said_ND, 1.0)
    error_ND[told_ND] = ((y_ND - (truth.va_ND - centre_D)) * np.sqrt(said_ND))[told_ND]
    error_ND -= _mean(error_ND)
    return Offsets(expression, units, np.array([shared(error_ND[:, place, None], film_N) for place in (0, 1)]))


def both(active: Array) -> Array:
    """Return P(inactive) and P(active) in a last dimension, neither of them 0.

    >>> both(np.array([0.25, 0.0])).tolist()
    [[0.75, 0.25], [0.999999, 1e-06]]
    """
    p = np.clip(active, SUREST, 1 - SUREST)
    return np.stack([1 - p, p], axis=-1)


def heard_va(asked: Beliefs, alone: Beliefs) -> Mask:
    """Return of which frames the annotator's valence and arousal were heard, (T,): where asking changed a belief."""
    same_ND = np.isclose(asked.mean_ND, alone.mean_ND, rtol=0, atol=SILENT, equal_nan=True)
    same_ND &= np.isclose(asked.sd_ND, alone.sd_ND, rtol=0, atol=SILENT, equal_nan=True)
    return np.asarray(~same_ND.all(axis=1))


def shared(error_NX: Array, film_N: NDArray[np.int_]) -> float:
    """Return the share of the variance of errors that a film's frames have alike, pooled over X columns; NaN: unknown.

    The maximum likelihood of one-way random effects: errors of a film are normal with equal variances and covariances,
    columns independent; 0 where that is likeliest, or where there are too few films.
    """
    _, film_N = np.unique(film_N, return_inverse=True)
    told_NX = ~np.isnan(error_NX)
    films = int(film_N.max()) + 1 if len(film_N) else 0
    count_FX, sum_FX, square_FX = (np.zeros((films, error_NX.shape[1])) for _ in range(3))
    value_NX = np.where(told_NX, error_NX, 0.0)
    for into, each in ((count_FX, told_NX), (sum_FX, value_NX), (square_FX, value_NX**2)):
        np.add.at(into, film_N, each)
    if ((count_FX > 1).any(axis=1)).sum() < FEWEST_FILMS:
        return 0.0
    n, total, square = (each[count_FX > 0] for each in (count_FX, sum_FX, square_FX))
    between, within = total**2 / n, square - total**2 / n

    def loss(share: float) -> float:
        apart, alike = 1 - share, 1 - share + n * share
        spread = (within / apart + between / alike).sum() / n.sum()
        return float(n.sum() * np.log(max(spread, 1e-12)) + ((n - 1) * np.log(apart) + np.log(alike)).sum())

    found = minimize_scalar(loss, bounds=(0.0, LARGEST), method="bounded")
    return float(found.x) if found.fun < loss(0.0) else 0.0


def stretches(frames: int, longest: int = LONGEST) -> list[slice]:
    """Return consecutive stretches of about equal length, none longer than `longest`.

    >>> stretches(5, longest=3)
    [slice(0, 3, None), slice(3, 5, None)]
    """
    parts = -(-frames // longest)
    ends = [-(-frames * k // parts) for k in range(parts + 1)]
    return [slice(a, b) for a, b in pairwise(ends)]


def chain_beliefs(
    own_TSK: Array,
    alone_TSK: Array,
    human_TSK: Array,
    told_TS: Mask,
    base_SK: Array,
    rate_S: Array,
    gap_T: Array,
    power: float,
    chains: Chains,
) -> Array:
    """Return P(state) of each frame given all frames of its video, (T, S, K), the shared offset summed over.

    Args:
        own_TSK: what is believed of each frame by itself, positive; where people labelled it, of no account.
        alone_TSK: the same if nobody had been asked; where it is the same, the frame shares no error.
        human_TSK: 1 at the state that people named, where `told_TS`.
        told_TS: where there is a human label.
        base_SK: stationary probabilities.
        rate_S: changes a second.
        gap_T: seconds since the frame before.
        power: to which what other frames say counts, of the states and of the offset.
        chains: how the annotator errs.
    """
    said_TSK = _centred(own_TSK, alone_TSK)
    heard_TS = ~told_TS & (np.abs(said_TSK).max(axis=2) > SILENT) & (chains.v_S > 0)
    with np.errstate(divide="ignore"):
        fixed_TSK = np.where(told_TS[:, :, None], np.log(human_TSK), said_TSK)
    found = []
    for part in stretches(len(own_TSK)):
        said = said_TSK[part], alone_TSK[part], fixed_TSK[part], heard_TS[part], told_TS[part], gap_T[part]
        found.append(_Video(*said, base_SK, rate_S, power, chains).beliefs())
    return np.concatenate(found)


class _Video(NamedTuple):
    """What is known of a video's frames; see `chain_beliefs`."""

    said_TSK: Array
    alone_TSK: Array
    fixed_TSK: Array
    heard_TS: Mask
    told_TS: Mask
    gap_T: Array
    base_SK: Array
    rate_S: Array
    power: float
    chains: Chains

    def beliefs(self) -> Array:
        """Return P(state), (T, S, K)."""
        return self.mean_over(*(self.grid() if self.base_SK.shape[1] == 2 else self.sample()))

    def evidence(self, points_PSK: Array) -> Array:
        """Return the log-likelihood of each frame given values of u, (T, P, S, K)."""
        share, v_S1 = self.chains.share, np.maximum(self.chains.v_S, SILENT)[:, None]
        own_TPSK = self.said_TSK[:, None] - np.sqrt(v_S1 * share) * points_PSK
        off_TPS1 = (own_TPSK**2).sum(axis=3, keepdims=True) / (2 * v_S1)
        return np.where(self.heard_TS[:, None, :, None], (own_TPSK - off_TPS1) / (1 - share), self.fixed_TSK[:, None])

    def messages(self, log_TPSK: Array) -> Array:
        """Return what all other frames say of each, (T, P, S, K), up to a factor."""
        flat_TCK, *others = self._flat(log_TPSK)
        return markov_messages(np.exp(flat_TCK - flat_TCK.max(axis=2, keepdims=True)), *others).reshape(log_TPSK.shape)

    def mean_over(self, points_PSK: Array, logs_PS: Array) -> Array:
        """Return P(state), (T, S, K), averaged over values of u with the logarithms of their prior weights."""
        log_TPSK = self.evidence(points_PSK)
        tempered_TPSK = self._tempered(log_TPSK)
        message_TPSK = self.messages(tempered_TPSK)
        total_PS = logs_PS + markov_log_likelihood(*self._flat(tempered_TPSK)).reshape(logs_PS.shape)
        # A frame's own words count in full, with what is known of it: they take the place of what went to the others.
        told_T1S1 = self.told_TS[:, None, :, None]
        own_TPSK, less_TPSK = (np.where(told_T1S1, 0.0, each) for each in (log_TPSK, tempered_TPSK))
        seen_TPSK = self.alone_TSK[:, None] * message_TPSK
        full_TPS, less_TPS = _log_sum(seen_TPSK, own_TPSK), _log_sum(self.base_SK * message_TPSK, less_TPSK)
        weight_TPS = total_PS + full_TPS - less_TPS
        weight_TPS = np.exp(weight_TPS - logsumexp(weight_TPS, axis=1, keepdims=True))
        joint_TPSK = seen_TPSK * np.exp(own_TPSK - own_TPSK.max(axis=3, keepdims=True))
        joint_TPSK /= joint_TPSK.sum(axis=3, keepdims=True)
        found: Array = (weight_TPS[..., None] * joint_TPSK).sum(axis=1)
        return found

    def grid(self) -> tuple[Array, Array]:
        """Return equally spaced values of u for two states, no further apart than its posterior is wide.

        The trapezoidal rule, which converges geometrically for such integrands (Trefethen & Weideman 2014); the nodes
        of Gauss and Hermite would lie too far apart for the narrow posterior of a long video.
        """
        width = self._precision() ** -0.5
        z_P = np.linspace(-REACH, REACH, 2 * int(np.ceil(REACH / width)) + 1)
        points_P2 = z_P[:, None] * np.array([-1.0, 1.0]) / np.sqrt(2)
        chains = len(self.base_SK)
        return np.tile(points_P2[:, None], (1, chains, 1)), np.tile(-0.5 * z_P[:, None] ** 2, (1, chains))

    def sample(self) -> tuple[Array, Array]:
        """Return values of u for one chain of several states: draws around its modes and from its prior.

        Multiple importance sampling (Veach & Guibas 1995), always with the same random numbers. Modes are looked for
        from no offset, and from each state as that of all frames, by coordinate ascent in turns on states and u.
        """
        states = self.base_SK.shape[1]
        basis_KZ = np.linalg.svd(np.eye(states) - 1 / states)[0][:, : states - 1]
        mode_MZ, precision = self._modes(basis_KZ), self._precision()
        scale_M = np.array([*np.full(len(mode_MZ), WIDER * precision**-0.5), 1.0])
        centre_MZ = np.vstack([mode_MZ, np.zeros(states - 1)])
        count_M = np.array([AROUND] * len(mode_MZ) + [ANYWHERE])
        whose_P = np.repeat(np.arange(len(count_M)), count_M)
        normal_PZ = np.random.default_rng(0).standard_normal((len(whose_P), states - 1))
        z_PZ = centre_MZ[whose_P] + scale_M[whose_P, None] * normal_PZ
        off_PM = ((z_PZ[:, None] - centre_MZ) ** 2).sum(axis=2) / scale_M**2
        log_PM = np.log(count_M / count_M.sum()) - 0.5 * off_PM - (states - 1) * np.log(scale_M)
        logs_P = -0.5 * (z_PZ**2).sum(axis=1) - logsumexp(log_PM, axis=1)
        return (z_PZ @ basis_KZ.T)[:, None], logs_P[:, None]

    def _modes(self, basis_KZ: Array) -> Array:
        states, heard_T = self.base_SK.shape[1], self.heard_TS[:, 0]
        share, v = self.chains.share, float(self.chains.v_S[0])
        # (M, T, K): states by each frame's own evidence, then one and the same state in all frames.
        own_TK = np.exp(self.said_TSK[:, 0]) * self.alone_TSK[:, 0]
        frames = len(own_TK)
        state_MTK = np.concatenate(
            [(own_TK / own_TK.sum(axis=1, keepdims=True))[None], np.tile(np.eye(states)[:, None], (1, frames, 1))]
        )
        z_MZ = np.zeros((states + 1, states - 1))
        for _ in range(ROUNDS):
            off_MK = (self.said_TSK[None, :, 0] - v * (state_MTK - 1 / states))[:, heard_T].sum(axis=1)
            pull = self.power * np.sqrt(share / max(v, SILENT)) / (1 - share)
            z_MZ = pull * off_MK @ basis_KZ / self._precision()
            log_TMSK = self._tempered(self.evidence((z_MZ @ basis_KZ.T)[:, None]))
            joint_TMK = (
                self.base_SK * self.messages(log_TMSK) * np.exp(log_TMSK - log_TMSK.max(axis=3, keepdims=True))
            )[:, :, 0]
            state_MTK = (joint_TMK / joint_TMK.sum(axis=2, keepdims=True)).transpose(1, 0, 2)
        return z_MZ

    def _precision(self) -> float:
        """Return the precision of u where the states are known: its largest."""
        share, frames = self.chains.share, int(self.heard_TS.sum(axis=0).max())
        return 1 + self.power * frames * share / (1 - share)

    def _tempered(self, log_TPSK: Array) -> Array:
        told_T1S1 = self.told_TS[:, None, :, None]
        return np.where(told_T1S1, log_TPSK, self.power * np.where(told_T1S1, 0.0, log_TPSK))

    def _flat(self, log_TPSK: Array) -> tuple[Array, Array, Array, Array]:
        frames, points, chains, states = log_TPSK.shape
        flat_TCK = log_TPSK.reshape(frames, points * chains, states)
        return flat_TCK, np.tile(self.base_SK, (points, 1)), np.tile(self.rate_S, points), self.gap_T


def evidence_of(mean_XD: Array, sd_XD: Array, centre_D: Array, variance_D: Array) -> tuple[Array, Array]:
    """Return what frames say of valence and arousal, their beliefs without what is believed of any: precision, and
    precision times deviation; 0 where a belief is no surer than that.
    """
    precision_XD = sd_XD**-2.0
    said_XD = np.maximum(np.nan_to_num(precision_XD) - 1 / variance_D, 0.0)
    return said_XD, np.where(said_XD > 0, precision_XD * (np.nan_to_num(mean_XD) - centre_D), 0.0)


def gaussian_beliefs(
    said: Gaussian, human: Gaussian, asked_T: Mask, variance_S: Array, rate_S: Array, gap_T: Array, share_S: Array
) -> tuple[Array, Array]:
    """Return mean deviation and variance of each frame given all frames of its video, (T, S) each.

    The offset is a constant state beside the process: given u the mean is linear in it, and its own posterior is that
    of generalised least squares (Rosenberg 1973; de Jong 1991), whose residuals R^-1 (y - E[x | y]) a smoother gives.

    Args:
        said: what frames say themselves.
        human: what people say, where they do; there `said` is of no account.
        asked_T: whether the annotator was asked; of other frames it shares no error.
        variance_S: of the stationary process.
        rate_S: per second.
        gap_T: seconds since the frame before.
        share_S: of the errors' variance that a video's frames share.
    """
    parts = stretches(len(gap_T))
    if len(parts) > 1:
        cut = [
            gaussian_beliefs(
                Gaussian(*(each[part] for each in said)), Gaussian(*(each[part] for each in human)),
                asked_T[part], variance_S, rate_S, gap_T[part], share_S,
            )
            for part in parts
        ]  # fmt: skip
        means, variances = zip(*cut, strict=True)
        return np.concatenate(means), np.concatenate(variances)
    told_TS = human.precision_TS > 0
    heard_TS = asked_T[:, None] & ~told_TS & (said.precision_TS > 0) & (share_S > 0)
    apart_TS = np.where(heard_TS, 1 - share_S, 1.0)
    precision_TS = np.where(told_TS, human.precision_TS, said.precision_TS / apart_TS)
    pull_TS = np.where(told_TS, human.weighted_TS, said.weighted_TS / apart_TS)
    design_TS = np.where(heard_TS, np.sqrt(share_S / np.where(heard_TS, said.precision_TS, 1.0)), 0.0)

    def smoothed(weighted_TS: Array) -> tuple[Array, Array]:
        others = gaussian_messages(Gaussian(precision_TS, weighted_TS), variance_S, rate_S, gap_T)
        total_TS = 1 / variance_S + precision_TS + others.precision_TS
        return (weighted_TS + others.weighted_TS) / total_TS, 1 / total_TS

    mean_TS, variance_TS = smoothed(pull_TS)
    moved_TS, _ = smoothed(precision_TS * design_TS)
    known_S = 1 + (design_TS * precision_TS * (design_TS - moved_TS)).sum(axis=0)
    u_S = (design_TS * (pull_TS - precision_TS * mean_TS)).sum(axis=0) / known_S
    return mean_TS - moved_TS * u_S, variance_TS + moved_TS**2 / known_S


def _chains(said_NSK: Array, state_NS: NDArray[np.int_], film_N: NDArray[np.int_]) -> Chains:
    """Return how an annotator errs about states that people named; -1: nobody did."""
    states = said_NSK.shape[2]
    silent_NS = np.isnan(said_NSK).any(axis=2) | ~(np.abs(np.nan_to_num(said_NSK)).max(axis=2) > SILENT)
    use_NS = ~silent_NS
    square_NS = np.where(use_NS, (said_NSK**2).sum(axis=2), 0.0)
    mean_S = square_NS.sum(axis=0) / np.maximum(use_NS.sum(axis=0), 1)
    # E |l|^2 = v^2 (K - 1) / K + v (K - 1), whatever the state.
    v_S = states / 2 * (np.sqrt(1 + 4 * mean_S / (states * (states - 1))) - 1)
    use_NS &= state_NS >= 0
    named_NSK = np.eye(states)[np.maximum(state_NS, 0)]
    scale_S1 = np.sqrt(np.maximum(v_S, SILENT))[:, None]
    error_NSK = np.where(use_NS[:, :, None], (said_NSK - v_S[:, None] * (named_NSK - 1 / states)) / scale_S1, np.nan)
    for state in range(states):  # what an annotator does in every film is no film's own
        of_NS = use_NS & (state_NS == state)
        error_NSK -= np.where(of_NS[:, :, None], _mean(np.where(of_NS[:, :, None], error_NSK, np.nan)), 0.0)
    return Chains(shared(error_NSK.reshape(len(error_NSK), -1), film_N), v_S)


def _log_sum(seen_TPSK: Array, log_TPSK: Array) -> Array:
    """Return log sum_k seen exp(log), (T, P, S)."""
    most_TPS1 = log_TPSK.max(axis=3, keepdims=True)
    found: Array = np.log((seen_TPSK * np.exp(log_TPSK - most_TPS1)).sum(axis=3)) + most_TPS1[..., 0]
    return found


def _centred(own_XSK: Array, alone_XSK: Array) -> Array:
    """Return the log-likelihoods that make `own` of `alone`; their sum is 0."""
    log_XSK = np.log(np.maximum(own_XSK, SUREST)) - np.log(np.maximum(alone_XSK, SUREST))
    centred: Array = log_XSK - log_XSK.mean(axis=-1, keepdims=True)
    return centred


def _mean(values: Array) -> Array:
    """Return the mean over the first axis of what is not NaN; 0 where all are."""
    told = ~np.isnan(values)
    found: Array = np.where(told, values, 0.0).sum(axis=0) / np.maximum(told.sum(axis=0), 1)
    return found
