"""Prediction-powered inference: what labels tell of a population where people looked at some of them (PPI++).

Angelopoulos, Duchi & Zrnic, PPI++: Efficient prediction-powered inference, arXiv 2311.01453 (2023). A quantity is the
coefficient of a regression, which solves sum_i psi_i(theta) = 0 with the scores psi_i = d_i x_i (y_i - mu(x_i theta)),
mu the identity (least squares) or the logistic function; d_i says whether record i belongs. A mean has x = 1, a
difference of two groups x = (1, in the group), a log odds ratio the logistic mu and the same x. A machine's labels give
scores psi^f of every record, people give psi of some, drawn with known probabilities pi_i (R_i: whether i was):

    sum_i  lambda psi^f_i + R_i / pi_i (psi_i - lambda psi^f_i)  =  0                         (their Eq. 3 and Sec. 3)

is unbiased whatever the machine says. lambda = 0 is people alone, lambda = 1 plain prediction-powered inference; power
tuning takes the lambda of the least variance (Sec. 6), so that no machine makes it worse than people alone. Records
whose labels people gave from the start have pi = 1 there and are a stratum of their own. Four things are not theirs:

    probabilities   The sample is one of a finite set, so their sums over other records than those of the sample become
                    sums over all (the same estimate for lambda (1 + n / N) in place of lambda). The weights are scaled
                    so that those of the sample sum to the records that it stands for (Hajek).
    clusters        Records of one subject go together: the variance is that of subjects' sums, by the jackknife that
                    leaves out one subject each (CV3; MacKinnon, Nielsen & Webb, Cluster-robust inference, J. Econom.
                    232, 2023), with Student's t of the subjects that people looked at.
    intervals       Ends by the score (`intervals.interval_of_sum`): the sample may not have met the errors of a machine
                    that seldom errs about a yes or no, and their variance grows with their number.
    about           "people": the subjects are a sample of all such people. "faces": exactly these records; all that is
                    random is which of them people looked at, so the variance is that of sampling without replacement.

    N  records        P  coefficients        G  subjects        S  records that people looked at
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from seke.core.intervals import ANY, FEWEST, interval_of_sum

Floats = NDArray[np.float64]
Link = Literal["identity", "logit"]
About = Literal["people", "faces"]
_STEPS: Final = 30
_CONVERGED: Final = 1e-9
_SINGULAR: Final = 1e10
"""Condition number beyond which predictors do not tell apart."""
_ROUNDING: Final = 1e-12
"""Of the mean square, what variance of the machine's scores is none: it says the same of all."""
_LARGEST: Final = 15.0
"""Log odds beyond which one group shows something always or never: there is no finite coefficient."""


@dataclass(frozen=True)
class Data:
    """One account of N records: the machine's, or that of people (what they did not look at is then never used)."""

    y_N: Floats
    x_NP: Floats
    inside_N: Floats
    """1 where a record belongs to what the quantity is about, else 0."""


@dataclass(frozen=True)
class Looked:
    """Which of N records people gave labels for."""

    always_N: NDArray[np.bool_]
    """From the start: they are right, and their share is known."""
    probability_N: Floats
    """With which a record was drawn for people to look at; NaN where it was not."""
    subject_N: NDArray[np.intp]
    """Whose it is, numbered from 0."""

    @cached_property
    def drawn_N(self) -> NDArray[np.bool_]:
        """The sample: records whose labels people checked by a draw."""
        return ~self.always_N & ~np.isnan(self.probability_N)

    @cached_property
    def weight_N(self) -> Floats:
        """For how many records one that people labelled stands: R / pi, scaled to the records that were drawn from."""
        drawn_N = self.drawn_N
        inverse_N = np.where(drawn_N, 1 / np.where(drawn_N, self.probability_N, 1.0), 0.0)
        scaled_N = inverse_N * (np.count_nonzero(~self.always_N) / max(inverse_N.sum(), 1e-300))
        return np.where(self.always_N, 1.0, scaled_N)


class Found(NamedTuple):
    """An estimate, and what it would be without people, and without the machine."""

    estimate: float
    """NaN where it cannot be estimated."""
    interval: list[float] | None
    human: float
    """From labels of people alone."""
    human_interval: list[float] | None
    effective: float | None
    """Randomly drawn human labels that would have told as much without the machine's; between the number that was
    drawn and all. None where people's labels alone do not vary."""
    power: float
    """lambda."""
    drawn: int
    """Records that people looked at by the draw, and that count here."""


class _Solved(NamedTuple):
    """A solution for one lambda."""

    theta_P: Floats
    scores_NP: Floats
    """What each record adds to the estimating equation; they sum to 0."""
    slopes_NPP: Floats
    """Minus its derivative."""
    errors_NP: Floats
    """Of the sample: weighted deviations of psi - lambda psi^f from their mean; else 0."""
    flips_NP: Floats
    """What a record of the sample would add if people called its outcome a 1 in place of a 0, weighted; of outcomes
    that are no yes or no, and elsewhere, 0."""

    @property
    def inverse_PP(self) -> Floats:
        return np.linalg.inv(self.slopes_NPP.sum(0))


def estimate(
    machine: Data,
    human: Data,
    looked: Looked,
    coefficient_P: Floats,
    link: Link = "identity",
    about: About = "people",
    within: tuple[float, float] = ANY,
    power: float | None = None,
) -> Found | None:
    """Return a linear function of a regression's coefficients with its 95 % interval.

    Args:
        machine: labels of all records, of which those that people gave from the start are not used.
        human: labels of the records that people gave or looked at; others may be NaN.
        looked: which these are.
        coefficient_P: the function's coefficients, such as (0, 1) for the second.
        link: least squares or logistic.
        about: what the interval is about: "people" like these, or these very "faces".
        within: the least and the greatest value that there can be.
        power: lambda; None: the one of the least variance.

    Returns:
        None where the labels of people do not determine the coefficients.
    """
    known_N = looked.always_N | looked.drawn_N
    human = Data(
        np.where(known_N, human.y_N, 0.0),
        np.where(known_N[:, None], human.x_NP, 0.0),
        np.where(known_N, human.inside_N, 0.0),
    )
    alone = _solve(machine, human, looked, 0.0, link, None)
    if alone is None:
        return None
    tuned = power if power is not None else _power(machine, human, looked, alone, coefficient_P, link)
    both = _solve(machine, human, looked, tuned, link, alone.theta_P)
    if both is None:
        return None
    counted = int(np.count_nonzero(looked.drawn_N))
    value, human_value = float(both.theta_P @ coefficient_P), float(alone.theta_P @ coefficient_P)
    free = int(power is None and tuned != 0.0)
    return Found(
        value,
        _interval(both, looked, coefficient_P, value, about, within, free),
        human_value,
        _interval(alone, looked, coefficient_P, human_value, about, within, 0),
        _effective(both, alone, looked, coefficient_P, free),
        tuned,
        counted,
    )


def naive(
    data: Data, subject_N: NDArray[np.intp], coefficient_P: Floats, link: Link, within: tuple[float, float] = ANY
) -> tuple[float, list[float] | None] | None:
    """Return what is estimated where all labels are taken as right, and its interval by subject; None as `estimate`."""
    every_N = np.ones(len(data.y_N), dtype=np.bool_)
    looked = Looked(every_N, np.full(len(data.y_N), np.nan), subject_N)
    found = _solve(data, data, looked, 0.0, link, None)
    if found is None:
        return None
    value = float(found.theta_P @ coefficient_P)
    return value, _interval(found, looked, coefficient_P, value, "people", within, 0)


def _score(data: Data, theta_P: Floats, link: Link) -> tuple[Floats, Floats]:
    """Return psi (N, P), and the weights (N,) with which x x' is minus its derivative."""
    linear_N = data.x_NP @ theta_P
    mean_N = linear_N if link == "identity" else expit(linear_N)
    slope_N = np.ones_like(mean_N) if link == "identity" else mean_N * (1 - mean_N)
    return (data.inside_N * (data.y_N - mean_N))[:, None] * data.x_NP, data.inside_N * slope_N


def _solve(
    machine: Data, human: Data, looked: Looked, power: float, link: Link, start_P: Floats | None
) -> _Solved | None:
    """Return the solution of the estimating equation by Newton's method; None where there is none."""
    weight_N = looked.weight_N
    of_machine_N = np.where(looked.always_N, 0.0, power * (1 - weight_N))
    theta_P = np.zeros(machine.x_NP.shape[1]) if start_P is None else start_P
    for _ in range(_STEPS):
        (machine_NP, by_machine_N), (human_NP, by_human_N) = (_score(each, theta_P, link) for each in (machine, human))
        total_P = of_machine_N @ machine_NP + weight_N @ human_NP
        slope_PP = _gram(of_machine_N * by_machine_N, machine.x_NP) + _gram(weight_N * by_human_N, human.x_NP)
        if not np.all(np.isfinite(slope_PP)) or np.linalg.cond(slope_PP) > _SINGULAR:
            return None
        step_P = np.linalg.solve(slope_PP, total_P)
        theta_P = theta_P + step_P
        if link == "logit" and np.abs(theta_P).max() > _LARGEST:
            return None
        if np.abs(step_P).max() < _CONVERGED:
            return _linearised(machine, human, looked, power, link, theta_P)
    return None


def _gram(weight_N: Floats, x_NP: Floats) -> Floats:
    return (weight_N[:, None] * x_NP).T @ x_NP


def _linearised(machine: Data, human: Data, looked: Looked, power: float, link: Link, theta_P: Floats) -> _Solved:
    """Return what each record adds to the equation, at its solution."""
    (machine_NP, by_machine_N), (human_NP, by_human_N) = (_score(each, theta_P, link) for each in (machine, human))
    scores_NP, errors_NP = _parts(machine_NP, human_NP, looked, power)
    of_machine_N = np.where(looked.always_N, 0.0, power * (1 - looked.weight_N)) * by_machine_N
    of_human_N = looked.weight_N * by_human_N
    slopes_NPP = of_machine_N[:, None, None] * machine.x_NP[:, :, None] * machine.x_NP[:, None, :]
    slopes_NPP = slopes_NPP + of_human_N[:, None, None] * human.x_NP[:, :, None] * human.x_NP[:, None, :]
    values = human.y_N[looked.drawn_N]
    yes_or_no = bool(np.all((values == 0) | (values == 1)))
    of_sample_N = looked.weight_N * human.inside_N * (looked.drawn_N & yes_or_no)
    return _Solved(theta_P, scores_NP, slopes_NPP, errors_NP, of_sample_N[:, None] * human.x_NP)


def _parts(machine_NP: Floats, human_NP: Floats, looked: Looked, power: float) -> tuple[Floats, Floats]:
    """Return each record's part of the sum over all, and of the sample the weighted deviations from its mean.

    The weights sum to a known number: how many of a subject's records were drawn does not make the sum vary, but how
    far their errors are from the mean error does.
    """
    always_N, drawn_N, weight_N = (each[:, None] for each in (looked.always_N, looked.drawn_N, looked.weight_N))
    errors_NP = np.where(drawn_N, human_NP - power * machine_NP, 0.0)
    others = max(int(np.count_nonzero(~looked.always_N)), 1)
    mean_P = (weight_N * errors_NP).sum(0) / others
    deviations_NP = np.where(drawn_N, weight_N * (errors_NP - mean_P), 0.0)
    return np.where(always_N, human_NP, power * machine_NP + mean_P + deviations_NP), deviations_NP


def _power(machine: Data, human: Data, looked: Looked, alone: _Solved, coefficient_P: Floats, link: Link) -> float:
    """Return the lambda of the least variance: the slope of people's scores on the machine's, over the sample."""
    drawn_N = looked.drawn_N
    if not drawn_N.any():
        return 0.0
    direction_P = alone.inverse_PP @ coefficient_P
    ours_S, theirs_S = (_score(each, alone.theta_P, link)[0][drawn_N] @ direction_P for each in (human, machine))
    weight_S = looked.weight_N[drawn_N]
    spread_S = weight_S**2 * (1 - looked.probability_N[drawn_N])
    if not spread_S.any():
        spread_S = weight_S**2
    size = float(spread_S @ theirs_S**2)
    ours_S, theirs_S = (values_S - weight_S @ values_S / weight_S.sum() for values_S in (ours_S, theirs_S))
    variance = float(spread_S @ theirs_S**2)
    return float(spread_S @ (ours_S * theirs_S)) / variance if variance > _ROUNDING * size else 0.0


def _design_variance(solved: _Solved, looked: Looked, coefficient_P: Floats, free: int) -> tuple[float, Floats]:
    """Return the variance over draws of the sample from these records, and its parts, one a record that was drawn."""
    drawn_N = looked.drawn_N
    size = int(np.count_nonzero(drawn_N))
    if size < FEWEST + free:
        return np.nan, np.zeros(0)
    parts_S = solved.errors_NP[drawn_N] @ (solved.inverse_PP @ coefficient_P)
    share_S = looked.probability_N[drawn_N]
    parts_S = parts_S * np.sqrt((1 - share_S) * size / (size - 1 - free))
    return float(np.sum(parts_S**2)), parts_S


def _each_left_out(solved: _Solved, looked: Looked, coefficient_P: Floats, free: int) -> Floats:
    """Return the parts of `_design_variance` where each record is predicted without itself, as in HC3.

    A record pulls a regression's line towards itself: its own deviation from that line is too small.
    """
    _, parts_S = _design_variance(solved, looked, coefficient_P, free)
    if not len(parts_S):
        return parts_S
    without_SPP = solved.slopes_NPP.sum(0) - solved.slopes_NPP[looked.drawn_N]
    if np.any(np.linalg.cond(without_SPP) > _SINGULAR):
        return np.zeros(0)
    errors_SP = solved.errors_NP[looked.drawn_N]
    left_out_S: Floats = np.linalg.solve(without_SPP, errors_SP[:, :, None])[:, :, 0] @ coefficient_P
    size = len(parts_S)
    return left_out_S * np.sqrt((1 - looked.probability_N[looked.drawn_N]) * size / (size - 1 - free))


def _interval(
    solved: _Solved,
    looked: Looked,
    coefficient_P: Floats,
    value: float,
    about: About,
    within: tuple[float, float],
    free: int,
) -> list[float] | None:
    unseen = _unseen(solved, looked, coefficient_P)
    if about == "faces" and looked.drawn_N.any():
        parts_S = _each_left_out(solved, looked, coefficient_P, free)
        if not len(parts_S):
            return None
        return interval_of_sum(parts_S, value, len(parts_S) - free, within, unseen)
    parts_G, value, subjects = _jackknife(solved, looked, coefficient_P, value)
    return interval_of_sum(parts_G, value, subjects, within, unseen)


def _unseen(solved: _Solved, looked: Looked, coefficient_P: Floats) -> float:
    """Return how far one wrong yes or no moves the estimate, of which the sample may not have met any.

    A machine that is right about all m of them may be wrong about 3 in m (the rule of three). Where records move it
    differently far, as those of a small group and all others, it is the size by which most of the variance comes about.
    """
    drawn_N = looked.drawn_N
    moved_S = np.abs(solved.flips_NP[drawn_N] @ (solved.inverse_PP @ coefficient_P))
    sizes_S = moved_S * np.sqrt(1 - looked.probability_N[drawn_N])
    squares = float(np.sum(sizes_S**2))
    return float(np.sum(sizes_S**3)) / squares if squares > 0 else 0.0


def _jackknife(solved: _Solved, looked: Looked, coefficient_P: Floats, value: float) -> tuple[Floats, float, int]:
    """Return what each subject adds to the error, the value, and how many subjects people looked at."""
    count = int(looked.subject_N.max(initial=-1)) + 1
    known_N = looked.always_N | looked.drawn_N
    seen = len(np.unique(looked.subject_N[known_N]))
    if count < FEWEST:
        return np.zeros(1), value, seen
    scores_GP, slopes_GPP = (
        _by_subject(each, looked.subject_N, count) for each in (solved.scores_NP, solved.slopes_NPP)
    )
    without_GPP = slopes_GPP.sum(0) - slopes_GPP
    if np.any(np.linalg.cond(without_GPP) > _SINGULAR):
        return np.zeros(1), value, 0  # the coefficient rests on one subject
    shift_G = -np.linalg.solve(without_GPP, scores_GP[:, :, None])[:, :, 0] @ coefficient_P
    return -shift_G * np.sqrt((count - 1) / count), value, seen


def _by_subject(values_NK: Floats, subject_N: NDArray[np.intp], count: int) -> Floats:
    flat_NK = values_NK.reshape(len(values_NK), -1)
    sums: Floats = np.stack([np.bincount(subject_N, column, count) for column in flat_NK.T], axis=1).astype(np.float64)
    return sums.reshape(count, *values_NK.shape[1:])


def _effective(both: _Solved, alone: _Solved, looked: Looked, coefficient_P: Floats, free: int) -> float | None:
    """Return n with S² (1 / n - 1 / N) = the variance over draws, S² that of people's labels alone.

    For independent records this is n times the ratio of the two variances; for a perfect machine it is N.
    """
    size, others = int(np.count_nonzero(looked.drawn_N)), int(np.count_nonzero(~looked.always_N))
    if not size or size == others:
        return float(size) if size else None
    ours, theirs = (_design_variance(each, looked, coefficient_P, free)[0] for each in (both, alone))
    if not theirs > 0:
        return None
    return 1 / (1 / others + (1 / size - 1 / others) * ours / theirs)
