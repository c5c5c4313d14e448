"""Value of asking: by how much an annotator's answers are expected to lower the loss of one face's labels, per dollar.

Labels are judged by their log loss, here as everywhere in calibration. What an answer Y is expected to take off the log
loss of a label X is their mutual information (Lindley 1956, "On a measure of the information provided by an
experiment"), by what is believed of X now and by how the annotator answers under each truth:

    I(X; Y) = sum_x p(x) sum_y P(y | x) log [P(y | x) / sum_x' p(x') P(y | x')]   >= 0

of the votes for an expression, of how many draws call an AU, and 1/2 log(1 + sd^2 / error^2) of a normal label. An
annotator that counts to a power beside another is expected to say so much less (`tempered`). Who is asked next is who
promises the most per dollar, as long as that is at least what the last dollar of the budget buys (`paths`, `least`):
the greedy solution of a knapsack whose items come one after the other.

E = 8 expressions, A = 17 AUs, K outcomes of the draws of an AU, M of an expression's votes.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import combinations_with_replacement
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, gammaln, xlogy

from seke.core.label_prior import Array
from seke.generation.calibration.grades import dirichlet_multinomial

Places = NDArray[np.int_]
MOST: Final = 5
"""Draws that are foreseen: what more of them would say adds next to nothing, and takes long to list."""
FREE: Final = 1e-12
"""Dollars that an answer for nothing counts as."""
NOTHING: Final = 1e-9
"""Nats that are not worth a request, be it for nothing."""


def tempered(log_XY: Array, power: float) -> Array:
    """Return P(y | x) of an annotator whose log-likelihoods count to a power, rows summing to 1; power 0: it says
    nothing.

    >>> tempered(np.log([[0.9, 0.1], [0.2, 0.8]]), 0.0).tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """
    scaled_XY = power * log_XY
    likely_XY = np.exp(scaled_XY - scaled_XY.max(axis=-1, keepdims=True))
    told_XY: Array = likely_XY / likely_XY.sum(axis=-1, keepdims=True)
    return told_XY


def of_classes(p_E: Array, likely_EM: Array) -> float:
    """Return the mutual information, in nats, of a label with these probabilities and answers so likely under each."""
    told_M = p_E @ likely_EM
    return max(float(p_E @ xlogy(likely_EM, likely_EM).sum(axis=1) - xlogy(told_M, told_M).sum()), 0.0)


def of_units(p_A: Array, active_AK: Array, inactive_AK: Array) -> Array:
    """Return the mutual information of each AU, (A,), and of the draws that call it."""
    p_A1 = p_A[:, None]
    told_AK = p_A1 * active_AK + (1 - p_A1) * inactive_AK
    known_AK = p_A1 * xlogy(active_AK, active_AK) + (1 - p_A1) * xlogy(inactive_AK, inactive_AK)
    gain_A: Array = np.maximum((known_AK - xlogy(told_AK, told_AK)).sum(axis=1), 0.0)
    return gain_A


def of_number(sd: float, precision: float) -> float:
    """Return the mutual information of a normal label and a normal answer, which adds so much precision.

    >>> round(of_number(0.5, 0.0), 3), round(of_number(0.5, 12.0), 3)
    (0.0, 0.693)
    """
    return 0.5 * float(np.log1p(sd**2 * max(precision, 0.0)))


def log_counts(a_A: Array, b_A: Array, draws: int) -> Array:
    """Return log P(k of so many draws call the AU), (A, K = draws + 1), beta-binomial with these parameters."""
    k_K = np.arange(draws + 1.0)
    ways_K = gammaln(draws + 1) - gammaln(k_K + 1) - gammaln(draws - k_K + 1)
    log_AK: Array = ways_K + betaln(k_K + a_A[:, None], draws - k_K + b_A[:, None]) - betaln(a_A, b_A)[:, None]
    return log_AK


def log_votes(alpha_EE: Array, draws: int) -> Array:
    """Return log P(votes | expression), (E, M), for every way in which so many draws can vote."""
    counts_ME, ways_M = _votes(alpha_EE.shape[1], draws)
    log_EM: Array = ways_M + dirichlet_multinomial(alpha_EE[:, None, :], counts_ME)
    return log_EM


@lru_cache(maxsize=16)
def _votes(classes: int, draws: int) -> tuple[Array, Array]:
    """Return every way in which draws can vote, (M, classes), and the logarithm of in how many orders each comes."""
    chosen = list(combinations_with_replacement(range(classes), draws))
    counts_MC = np.array([np.bincount(votes, minlength=classes) for votes in chosen], dtype=float)
    return counts_MC, gammaln(draws + 1) - gammaln(counts_MC + 1).sum(axis=1)


class Steps(NamedTuple):
    """What each of N faces promises in each of the states that it may come into."""

    value_NSX: Array
    """Nats expected of each action; NaN where it cannot be taken ..."""
    usd_NX: Array
    """... its dollars ..."""
    next_SX: Places
    """... and the state that it leads to, a whole number; -1 where it cannot be taken."""


class Paths(NamedTuple):
    """In what order each face would ask whom, by falling value per dollar: steps are rows, faces in turn."""

    face: Places
    state: Places
    """After the step."""
    rate: Array
    """Nats per dollar: the least on the way to here, as a step is only taken after those before it."""
    usd: Array


def best(values: Mapping[str, float], usd: Mapping[str, float]) -> tuple[str, float] | None:
    """Return the action that promises most per dollar, and how much; None where none promises anything."""
    rates = {name: value / max(usd[name], FREE) for name, value in values.items() if value > NOTHING}
    return max(rates.items(), key=lambda rate: rate[1]) if rates else None


def paths(steps: Steps) -> Paths:
    """Return the greedy path of each face; where it ends on it depends on a budget alone (`least`)."""
    found: list[tuple[int, int, float, float]] = []
    for face, value_SX in enumerate(steps.value_NSX):
        state, rate = 0, np.inf
        while True:
            usd_X = steps.usd_NX[face]
            promised = {str(x): float(v) for x, v in enumerate(value_SX[state]) if np.isfinite(v)}
            chosen = best(promised, {str(x): float(usd) for x, usd in enumerate(usd_X)})
            if chosen is None:
                break
            action = int(chosen[0])
            state, rate = int(steps.next_SX[state, action]), min(rate, chosen[1])
            found.append((face, state, rate, float(usd_X[action])))
    rows = np.array(found, dtype=float).reshape(-1, 4)
    return Paths(rows[:, 0].astype(int), rows[:, 1].astype(int), rows[:, 2], rows[:, 3])


def least(found: Paths, weight_N: Array, budget: float) -> float:
    """Return the least value per dollar at which the steps worth it cost no more than a budget; infinite: no step.

    Args:
        found: the faces' paths.
        weight_N: how many records each face stands for.
        budget: dollars for all of them.
    """
    order = np.argsort(-found.rate, kind="stable")
    spent = np.cumsum((weight_N[found.face] * found.usd)[order])
    # A step that makes the sum exceed the budget is not taken, nor is any that is worth as little.
    over = np.flatnonzero(spent > budget * (1 + 1e-9))
    if not len(over):
        return 0.0
    limit = found.rate[order[over[0]]]
    kept = found.rate[found.rate > limit]
    return float(kept.min()) if len(kept) else float("inf")


def ends(found: Paths, faces: int, rate: float) -> tuple[Places, Array]:
    """Return in which state each face ends whose steps are worth so much per dollar, (N,), and its dollars, (N,)."""
    state_N, usd_N = np.zeros(faces, dtype=int), np.zeros(faces)
    taken = found.rate >= rate
    np.add.at(usd_N, found.face[taken], found.usd[taken])
    state_N[found.face[taken]] = found.state[taken]  # the last step of a face stands last
    return state_N, usd_N


def realised_share(predicted: Sequence[float], lowered: Sequence[float]) -> float:
    """Return the realised share of the promised value: mean fall of held-out losses over mean promise, in [0, 2].

    It is 0 where nothing is promised.

    >>> realised_share([0.2, 0.4], [0.1, 0.2]), realised_share([0.2], [-1.0]), realised_share([], [])
    (0.5, 0.0, 0.0)
    """
    promised = float(np.sum(predicted))
    return float(np.clip(np.sum(lowered) / promised, 0.0, 2.0)) if promised > NOTHING else 0.0
