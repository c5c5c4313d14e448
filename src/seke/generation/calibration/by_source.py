"""What a witness's answers mean in each source: its own channel, pulled towards that of all sources together.

A table may be good on the posed faces of one laboratory and no better than dice on films. So each source that has
enough labels of several people gets channels of its own, pulled towards the pooled ones as if these were so many
labels; how strongly is chosen by held-out labels of other subjects (empirical Bayes), and infinitely is a choice. In a
source whose held-out labels its answers do not foretell better than the source's base rates, beyond doubt, it is not
heard at all. A source with few labels, or with one person's alone, is read as all are.
"""

from collections.abc import Callable
from itertools import product
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, logsumexp, xlog1py, xlogy

from seke.core.label_prior import Array, Table, log_normal
from seke.generation.calibration import pilot
from seke.generation.calibration.annotator_model import Channel, fit_channel
from seke.generation.calibration.gain import discovery_level, gain
from seke.generation.calibration.sides import two_sides
from seke.generation.witnesses.said import Said

STRENGTHS: Final = (2.0, 10.0, 50.0, np.inf)
"""About how many labels the pooled channel may count for; infinite: no source has a channel of its own."""
BASE: Final = 10.0
"""How many labels the base rates of all sources count for in those of one."""


class Family(NamedTuple):
    """How one description is fitted and judged, on rows that have an answer and a human label."""

    fit: Callable[[NDArray[Any], Any, float, bool], Any]
    """Of rows, towards a pooled channel, with a strength; towards None: the pooled channel itself. The last argument is
    whether the answers are heard: without them the same is fitted, and knows base rates alone."""
    loss: Callable[[NDArray[Any], Any, NDArray[Any], bool], Array]
    """Of rows, by a channel, with the base rates of other rows; likewise with the answers or without."""


class Sourced(NamedTuple):
    """One description's channels by source."""

    strength: float
    own: dict[str, Any]
    """The channel of each source that has one of its own."""
    refused: tuple[str, ...]
    """Sources in which it is not heard."""
    lone: tuple[str, ...]
    """Sources of which one person alone has labels: nobody can tell there."""


def by_source(
    family: Family, rows_N: NDArray[np.bool_], groups: NDArray[np.str_], sources: NDArray[np.str_]
) -> Sourced:
    """Fit one description's channels by source.

    Args:
        family: how.
        rows_N: which records have both an answer and a human label.
        groups: subjects.
        sources: of the records.
    """
    places = {str(name): np.flatnonzero(rows_N & (sources == name)) for name in np.unique(sources[rows_N])}
    persons = {name: len(np.unique(groups[rows])) for name, rows in places.items()}
    lone = tuple(name for name, count in persons.items() if count < 2)
    judged = {name: rows for name, rows in places.items() if len(rows) >= pilot.FEWEST and persons[name] > 1}
    if len(places) < 2 or not judged:
        return Sourced(np.inf, {}, (), lone if len(places) > 1 else ())
    sides = two_sides(map(str, groups[rows_N]))
    side_N = np.array([sides.get(str(group), -1) for group in groups])
    lost = {(strength, name): np.zeros(len(rows)) for strength in STRENGTHS for name, rows in judged.items()}
    unheard = {key: np.zeros_like(each) for key, each in lost.items()}
    for side in (0, 1):
        others = np.flatnonzero(rows_N & (side_N == 1 - side))
        pooled = {heard: family.fit(others, None, 0.0, heard) for heard in (True, False)}
        for name, rows in judged.items():
            taught, held_out = rows[side_N[rows] != side], side_N[rows] == side
            if not held_out.any() or not len(taught):
                continue
            for strength, (heard, into) in product(STRENGTHS, ((True, lost), (False, unheard))):
                channel = pooled[heard]
                if np.isfinite(strength):
                    channel = family.fit(taught, channel, strength, heard)
                into[strength, name][held_out] = family.loss(rows[held_out], channel, taught, heard)
    total = {strength: sum(float(lost[strength, name].sum()) for name in judged) for strength in STRENGTHS}
    best = min(STRENGTHS, key=lambda strength: (total[strength], -strength))
    _, numbers = np.unique(groups, return_inverse=True)
    gains = {name: gain(unheard[best, name] - lost[best, name], numbers[rows]) for name, rows in judged.items()}
    level = discovery_level([each.p for each in gains.values()])
    refused = tuple(name for name, each in gains.items() if each.mean <= 0 or each.p > level)
    everything = family.fit(np.flatnonzero(rows_N), None, 0.0, True)
    own = {} if np.isinf(best) else {name: family.fit(rows, everything, best, True) for name, rows in judged.items()}
    return Sourced(best, own, refused, lone)


def units(said: Said, truth: Table, fit: Callable[..., Array]) -> Family:
    """Return how AUs are fitted; `fit` is `witnesses.fit_units`."""
    truth_NA = np.where(said.told_NA, truth.units_NA, np.nan)

    def fitted(rows: NDArray[Any], pooled: Array | None, strength: float, heard: bool) -> Array:
        return fit(heard * said.units_NAF[rows], truth_NA[rows], pooled, strength)

    def loss(rows: NDArray[Any], channel: Array, taught: NDArray[Any], heard: bool) -> Array:
        told_NA, active_NA = np.isfinite(truth_NA[rows]), np.nan_to_num(truth_NA[rows])
        among_NA = truth_NA[taught]
        overall_A = np.nan_to_num(np.nansum(truth_NA, axis=0) + 0.5) / (np.isfinite(truth_NA).sum(axis=0) + 1)
        base_A = (np.nansum(among_NA, axis=0) + BASE * overall_A) / (np.isfinite(among_NA).sum(axis=0) + BASE)
        line_NA = logit(base_A) + channel[:, 0] + heard * (said.units_NAF[rows] * channel[:, 1:]).sum(axis=2)
        p_NA = np.clip(expit(line_NA), 1e-6, 1 - 1e-6)
        lost_NA = -(xlogy(active_NA, p_NA) + xlog1py(1 - active_NA, -p_NA))
        mean_N: Array = np.where(told_NA, lost_NA, 0.0).sum(axis=1) / np.maximum(told_NA.sum(axis=1), 1)
        return mean_N

    return Family(fitted, loss)


def shares(said: Said, truth: Table, fit: Callable[..., tuple[float, Array]]) -> Family:
    """Return how expressions are fitted; `fit` is `witnesses.fit_shares`."""
    log_NE = np.log(np.where(np.isfinite(said.shares_NE), said.shares_NE, 1.0))
    overall_E = truth.expression_NE.sum(axis=0) + 1

    def fitted(
        rows: NDArray[Any], pooled: tuple[float, Array] | None, strength: float, heard: bool
    ) -> tuple[float, Array]:
        return fit(heard * log_NE[rows], truth.expression_NE[rows], pooled, strength)

    def loss(rows: NDArray[Any], channel: tuple[float, Array], taught: NDArray[Any], heard: bool) -> Array:
        base_E = truth.expression_NE[taught].sum(axis=0) + BASE * overall_E / overall_E.sum()
        logs_NE = np.log(base_E) + heard * channel[0] * log_NE[rows] + channel[1]
        right_N: Array = (truth.expression_NE[rows] * logs_NE).sum(axis=1)
        return np.asarray(logsumexp(logs_NE, axis=1)) - right_N

    return Family(fitted, loss)


def number(said_N: Array, true_N: Array) -> Family:
    """Return how valence, or arousal, is fitted."""

    def fitted(rows: NDArray[Any], pooled: Channel | None, strength: float, heard: bool) -> Channel:
        own = fit_channel(true_N[rows].tolist(), said_N[rows][:, None])
        if pooled is None:
            return own
        share = len(rows) / (len(rows) + strength)
        return Channel(*(share * a + (1 - share) * b for a, b in zip(own, pooled, strict=True)))

    def loss(rows: NDArray[Any], channel: Channel, taught: NDArray[Any], heard: bool) -> Array:
        # Unheard, the same channel foretells the answer by the mean truth: what it knows beyond that is what counts.
        true = true_N[rows] if heard else np.full(len(rows), true_N[taught].mean())
        spread = 0.0 if heard else channel.slope * float(true_N[taught].std())
        sd = float(np.sqrt(channel.per_image**2 + channel.per_draw**2 + spread**2))
        return -log_normal(said_N[rows], channel.bias + channel.slope * true, sd)

    return Family(fitted, loss)
