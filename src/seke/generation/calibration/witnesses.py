"""Witnesses beside the annotator: what their answers have meant where people labelled the same face.

A witness's answers are turned into likelihoods of the truth by channels that its own record has taught:

    AU               log-odds of "active" beyond those of its base rate = a + b s + c o, where s is its score and o
                     whether it says that the AU occurs: logistic regression of each AU, pulled towards that of all
    expression       log P(shares | e) = t log share_e + b_e, up to a constant: a temperature, and a bias of each
    valence, arousal answer = bias + slope truth + error, as of draws (`fit_channel`)

A table costs nothing, so every human label teaches it, not the pilot's alone; where it is judged it is fitted to other
subjects. Each source has channels of its own as far as that pays, and may refuse a witness (`by_source`). Whether two
witnesses err together nobody knows beforehand: each one's log-likelihoods count to a power of 0,
1/2 or 1 beside the annotator's and the others' (`arms`), and the power that foretells held-out labels best is the
measure of how much of what it says is news. A copy of another witness is worth a power of 0.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit, logsumexp

from seke.core.label_prior import AUS, INDEX, Array, Table, tabulate
from seke.core.records import ImageRecord, Labels
from seke.generation.calibration import by_source, pilot
from seke.generation.calibration.annotator_model import Channel, Heard, Masked, fit_channel
from seke.generation.calibration.by_source import Family, Sourced
from seke.generation.calibration.patterns import IN_WORDS
from seke.generation.witnesses.said import Said
from seke.generation.witnesses.tables import Matched

POWERS: Final = (0.0, 0.5, 1.0)
"""How far a witness may count beside others."""
FEWEST_SUBJECTS: Final = 2
PULL: Final = 2.0
"""Precision with which an AU's coefficients are pulled towards those of all AUs, about that of a dozen faces."""
LABELS: Final = 6.0
"""About how many labels a precision of 1 stands for."""


class Channels(NamedTuple):
    """What a witness's answers mean; None in a description of which too few people's labels tell."""

    units_AP: Array | None
    """Coefficients of each AU: constant, score, occurrence."""
    temperature: float | None
    bias_E: Array
    va: tuple[Channel | None, Channel | None]

    def heard(self, said: Said) -> Heard:
        """Return log-likelihoods of N images' answers under each truth; 0 where there is no answer."""
        n = len(said.va_ND)
        votes_NE, ratio_NA, mean_ND, sd_ND = np.zeros((n, len(INDEX))), np.zeros((n, len(AUS))), *np.zeros((2, n, 2))
        if self.units_AP is not None:
            ratio_NA = np.where(said.told_NA, _line(said, self.units_AP), 0.0)
        if self.temperature is not None:
            told_N1 = np.isfinite(said.shares_NE[:, :1])
            logs_NE = self.temperature * np.log(np.where(told_N1, said.shares_NE, 1.0)) + self.bias_E
            votes_NE = np.where(told_N1, logs_NE, 0.0)
        sd_ND[:] = np.inf
        for place, channel in enumerate(self.va):
            if channel is not None:
                told_N = np.isfinite(said.va_ND[:, place])
                value_N = np.where(told_N, said.va_ND[:, place], 0.0)
                mean_ND[:, place] = np.where(told_N, (value_N - channel.bias) / channel.slope, 0.0)
                spread = float(np.hypot(channel.per_image, channel.per_draw)) / channel.slope
                sd_ND[:, place] = np.where(told_N, spread, np.inf)
        return Heard(votes_NE, ratio_NA, np.zeros_like(ratio_NA), mean_ND, sd_ND)


def together(heard: Heard, others: Sequence[Heard], powers: Sequence[float | Sequence[float]]) -> Heard:
    """Return what several witnesses say at once: log-likelihoods add up, each to its power; precisions likewise.

    Args:
        heard: of N images, or of one in N ways of reading an annotator.
        others: of the same images, or of the one.
        powers: of each of the others, one for all N or one each.
    """
    for other, each in zip(others, powers, strict=True):
        power = np.reshape(each, (-1, 1))
        if not power.any():
            continue
        precision_ND, more_ND = heard.sd_ND**-2.0, power * other.sd_ND**-2.0
        total_ND = precision_ND + more_ND
        known_ND = total_ND > 0
        safe_ND = np.where(known_ND, total_ND, 1.0)
        mean_ND = (precision_ND * heard.mean_ND + more_ND * other.mean_ND) / safe_ND
        heard = Heard(
            heard.votes_NE + power * other.votes_NE,
            heard.active_NA + power * other.active_NA,
            heard.inactive_NA + power * other.inactive_NA,
            np.where(known_ND, mean_ND, 0.0),
            np.where(known_ND, safe_ND**-0.5, np.inf),
        )
    return heard


def powers_of(count: int) -> list[tuple[float, ...]]:
    """Return the combinations of powers to try with so many witnesses: all of two, or every choice of them alike.

    >>> powers_of(0), powers_of(1), len(powers_of(2)), len(powers_of(3))
    ([()], [(0.0,), (0.5,), (1.0,)], 9, 15)
    """
    if count <= 2:
        return list(product(POWERS, repeat=count))
    chosen = list(product((0.0, 1.0), repeat=count))
    return sorted({tuple(power * each for each in one) for one in chosen for power in POWERS})


@dataclass(frozen=True)
class Witness:
    """One witness, its answers about all records, and the human labels that may teach what they mean."""

    name: str
    said: Said
    place: Mapping[str, int]
    """Of each record in the arrays, by its id."""
    truth: Table
    """Human labels; none of a record that must not teach, nor what is hidden of it."""
    groups: NDArray[np.str_]
    """The subject of each record, which must not stand on both sides of a split."""
    sources: NDArray[np.str_]
    """The source of each record."""
    line: str = ""
    _fits: dict[frozenset[str], Channels] = field(default_factory=dict)
    _sourced: dict[frozenset[str], Mapping[str, Sourced]] = field(default_factory=dict)

    def channels(self, without: Collection[str] = ()) -> Channels:
        """Return what its answers mean according to all subjects but these."""
        key = frozenset(without)
        if key not in self._fits:
            taught_N = ~np.isin(self.groups, list(key)) if key else np.ones(len(self.groups), dtype=bool)
            self._fits[key] = fit_channels(self.said.at(taught_N), self.truth.where(taught_N), self.groups[taught_N])
        return self._fits[key]

    def heard(self, ids: Sequence[str], without: Collection[str] = ()) -> Heard:
        """Return what it says of these records, read by its channels that these subjects have not taught."""
        places = np.array([self.place[name] for name in ids], dtype=int)
        pooled, sources = self.channels(without), self.sources[places]
        found = pooled.heard(self.said.at(places))
        sourced = self.sourced(without)
        apart = {name for each in sourced.values() for name in (*each.own, *each.refused)}
        for source in apart & set(map(str, sources)):
            rows = np.flatnonzero(sources == source)
            own = _of_source(pooled, sourced, source).heard(self.said.at(places[rows]))
            for column, values in zip(found, own, strict=True):
                column[rows] = values
        return found

    def sourced(self, without: Collection[str] = ()) -> Mapping[str, Sourced]:
        """Return the channels that sources have of their own, by description, according to all subjects but these."""
        key = frozenset(without)
        if key not in self._sourced:
            taught_N = ~np.isin(self.groups, list(key)) if key else np.ones(len(self.groups), dtype=bool)
            said, truth = self.said.at(taught_N), self.truth.where(taught_N)
            self._sourced[key] = _sourced(
                said, truth, self.groups[taught_N], self.sources[taught_N], self.channels(without)
            )
        return self._sourced[key]

    def in_pilot(self, rows: Sequence[Masked], without: Collection[str]) -> Heard:
        """Return what it says of the images of the pilot's rows, by channels that these subjects have not taught."""
        return self.heard([row.id for row in rows], without)

    @property
    def labels(self) -> dict[str, int]:
        """How many records with an answer have a human label, of each description."""
        return labels_of(self.said, self.truth)

    @property
    def thin(self) -> dict[str, int]:
        """The descriptions of which it speaks but too few human labels tell how far to believe it, and how many do."""
        channels, spoken = self.channels(), _spoken(self.said)
        silent = {
            "expression": channels.temperature is None,
            "va": channels.va == (None, None),
            "au": channels.units_AP is None,
        }
        return {name: self.labels[name] for name, unread in silent.items() if unread and spoken[name]}

    @property
    def mute(self) -> bool:
        """Whether it cannot be read in any description."""
        channels = self.channels()
        return channels.temperature is None and channels.va == (None, None) and channels.units_AP is None

    def remarks(self) -> list[str]:
        """Return what the user should know of it before the records are annotated."""
        found = [self.line]
        for name, each in self.sourced().items():
            what = IN_WORDS.get(name, name)
            if each.refused:
                found.append(
                    f"witness {self.name} adds nothing about {what} in {', '.join(each.refused)}: it is not heard there"
                )
            if each.lone:
                found.append(
                    f"witness {self.name}: of {', '.join(each.lone)} one person alone has labels of {what}, which tell "
                    "nothing of others: it is read there as everywhere"
                )
        if self.thin:
            listed = ", ".join(f"{IN_WORDS[name]} ({labels})" for name, labels in self.thin.items())
            what = "it is left out" if self.mute else "these are not read"
            found.append(
                f"witness {self.name}: too few faces that it speaks of have human labels of {listed}; {pilot.FEWEST} "
                f"of {FEWEST_SUBJECTS} or more persons are needed: {what}"
            )
        return found


def witnesses_of(
    found: Sequence[Matched], records: Sequence[ImageRecord], teachable: Mapping[str, Labels]
) -> list[Witness]:
    """Return the witnesses of the records.

    Args:
        found: what each of them says, in the records' order.
        records: those to annotate.
        teachable: the human labels that may teach, by a record's id.
    """
    place = {record.id: row for row, record in enumerate(records)}
    truth = tabulate(teachable.get(record.id, Labels()) for record in records)
    groups = np.array([pilot.group(record) for record in records])
    sources = np.array([record.source for record in records])
    return [Witness(each.name, each.said, place, truth, groups, sources, each.line) for each in found]


def fit_channels(said: Said, truth: Table, groups: Sequence[str] | NDArray[np.str_]) -> Channels:
    """Fit every channel for which there are `FEWEST` labels of `FEWEST_SUBJECTS` subjects."""
    groups = np.asarray(groups)

    def enough(rows_N: NDArray[np.bool_]) -> bool:
        return int(rows_N.sum()) >= pilot.FEWEST and len(np.unique(groups[rows_N])) >= FEWEST_SUBJECTS

    units_NA = np.where(said.told_NA, truth.units_NA, np.nan)
    named_N = np.asarray(np.isfinite(said.shares_NE[:, 0]) & truth.expression_NE.any(axis=1))
    temperature, bias_E = None, np.zeros(len(INDEX))
    if enough(named_N):
        temperature, bias_E = fit_shares(np.log(said.shares_NE[named_N]), truth.expression_NE[named_N])
    va: list[Channel | None] = []
    for value_N, true_N in zip(said.va_ND.T, truth.va_ND.T, strict=True):
        told_N = np.isfinite(value_N) & np.isfinite(true_N)
        va.append(fit_channel(true_N[told_N].tolist(), value_N[told_N][:, None]) if enough(told_N) else None)
    told_N = np.asarray(np.isfinite(units_NA).any(axis=1))
    units_AP = fit_units(said.units_NAF, units_NA) if enough(told_N) else None
    return Channels(units_AP, temperature, bias_E, (va[0], va[1]))


def _sourced(
    said: Said, truth: Table, groups: NDArray[np.str_], sources: NDArray[np.str_], pooled: Channels
) -> dict[str, Sourced]:
    """Return the channels of sources, of each description that can be read at all; of numbers, by their names."""
    families: dict[str, tuple[Family, NDArray[np.bool_]]] = {}
    if pooled.units_AP is not None:
        told_N = np.asarray((said.told_NA & np.isfinite(truth.units_NA)).any(axis=1))
        families["au"] = by_source.units(said, truth, fit_units), told_N
    if pooled.temperature is not None:
        told_N = np.asarray(np.isfinite(said.shares_NE[:, 0]) & truth.expression_NE.any(axis=1))
        families["expression"] = by_source.shares(said, truth, fit_shares), told_N
    for place, name in enumerate(("valence", "arousal")):
        if pooled.va[place] is not None:
            said_N, true_N = said.va_ND[:, place], truth.va_ND[:, place]
            families[name] = by_source.number(said_N, true_N), np.isfinite(said_N) & np.isfinite(true_N)
    return {name: by_source.by_source(family, rows_N, groups, sources) for name, (family, rows_N) in families.items()}


def _of_source(pooled: Channels, sourced: Mapping[str, Sourced], source: str) -> Channels:
    """Return the channels of one source: its own, the pooled ones, or none where it is not heard."""

    def part(name: str, all_of_it: Any) -> Any:
        each = sourced.get(name)
        if each is None:
            return all_of_it
        return None if source in each.refused else each.own.get(source, all_of_it)

    units_AP = part("au", pooled.units_AP)
    shares = part("expression", None if pooled.temperature is None else (pooled.temperature, pooled.bias_E))
    temperature, bias_E = (None, pooled.bias_E) if shares is None else shares
    valence, arousal = part("valence", pooled.va[0]), part("arousal", pooled.va[1])
    return Channels(units_AP, temperature, bias_E, (valence, arousal))


def fit_units(
    score_NAF: Array, truth_NA: Array, towards_AP: Array | None = None, labels: float = LABELS * PULL
) -> Array:
    """Fit log-odds that an AU is active, beyond its base rate, to its scores: coefficients of each AU, (A, 1 + F).

    Args:
        score_NAF: of each image, standardised.
        truth_NA: 1 active, 0 inactive, NaN where it is not to teach.
        towards_AP: what each AU's are pulled towards; None: those of all AUs.
        labels: about how many labels that counts for.
    """
    told_NA = np.isfinite(truth_NA)
    active_A = np.where(told_NA, truth_NA, 0.0).sum(axis=0)
    base_A = logit((active_A + 0.5) / (told_NA.sum(axis=0) + 1))
    rows_NAP = np.concatenate([np.ones((*score_NAF.shape[:2], 1)), score_NAF], axis=2)
    offset_NA = np.broadcast_to(base_A, told_NA.shape)
    if towards_AP is None:
        none_P = np.zeros(rows_NAP.shape[2])
        pooled_P = _logistic(rows_NAP[told_NA], truth_NA[told_NA], offset_NA[told_NA], none_P, 1.0)
        towards_AP, labels = np.tile(pooled_P, (len(base_A), 1)), LABELS * PULL
    fitted_A = [
        _logistic(rows_NAP[rows_N, au], truth_NA[rows_N, au], offset_NA[rows_N, au], towards_AP[au], labels / LABELS)
        for au, rows_N in enumerate(told_NA.T)
    ]
    return np.array(fitted_A)


def _logistic(rows_NP: Array, active_N: Array, offset_N: Array, towards_P: Array, precision: float) -> Array:
    """Return the coefficients of a logistic regression with an offset and a normal prior, by Newton's method."""
    found_P = towards_P.copy()
    for _ in range(30):
        p_N = expit(offset_N + rows_NP @ found_P)
        slope_P = rows_NP.T @ (active_N - p_N) - precision * (found_P - towards_P)
        curve_PP = (rows_NP * (p_N * (1 - p_N))[:, None]).T @ rows_NP + precision * np.eye(len(found_P))
        step_P = np.linalg.solve(curve_PP, slope_P)
        step_P *= min(1.0, 2.0 / max(float(np.abs(step_P).max()), 1e-9))
        found_P = found_P + step_P
        if np.abs(step_P).max() < 1e-6:
            break
    return found_P


def fit_shares(
    log_NE: Array, truth_NE: Array, towards: tuple[float, Array] | None = None, labels: float = LABELS
) -> tuple[float, Array]:
    """Fit a temperature and a bias to log shares: P(e | shares) ~ P(e) share_e^t exp(b_e).

    The temperature is pulled towards 0, which says nothing, and the biases towards 0, as if by a face or two; or both
    towards another channel's, as if by so many labels.
    """
    base_E = np.log((truth_NE.sum(axis=0) + 1) / (len(truth_NE) + truth_NE.shape[1]))

    def loss(parameters: Array) -> tuple[float, Array]:
        t, bias_E = parameters[0], parameters[1:]
        logs_NE = base_E + t * log_NE + bias_E
        wrong_NE = np.exp(logs_NE - logsumexp(logs_NE, axis=1, keepdims=True)) - truth_NE
        value = -(logs_NE * truth_NE).sum() + logsumexp(logs_NE, axis=1).sum()
        off = parameters - start
        gradient = np.concatenate([[(wrong_NE * log_NE).sum()], wrong_NE.sum(axis=0)]) + precision * off
        return float(value + 0.5 * precision * (off**2).sum()), gradient

    start, precision = np.zeros(1 + truth_NE.shape[1]), 1.0
    if towards is not None:
        start, precision = np.concatenate([[towards[0]], towards[1]]), labels / LABELS
    found = minimize(loss, start, jac=True, method="L-BFGS-B").x
    return max(float(found[0]), 0.0), np.asarray(found[1:])


def labels_of(said: Said, truth: Table) -> dict[str, int]:
    """Return on how many records both a witness and a person speak, of each description."""
    both = {
        "expression": np.isfinite(said.shares_NE[:, 0]) & truth.expression_NE.any(axis=1),
        "va": (np.isfinite(said.va_ND) & np.isfinite(truth.va_ND)).any(axis=1),
        "au": (said.told_NA & np.isfinite(truth.units_NA)).any(axis=1),
    }
    return {name: int(rows_N.sum()) for name, rows_N in both.items()}


def _spoken(said: Said) -> dict[str, bool]:
    return {
        "expression": bool(np.isfinite(said.shares_NE).any()),
        "va": bool(np.isfinite(said.va_ND).any()),
        "au": bool(said.told_NA.any()),
    }


def _line(said: Said, units_AP: Array) -> Array:
    line_NA: Array = units_AP[:, 0] + (said.units_NAF * units_AP[:, 1:]).sum(axis=2)
    return line_NA


def facts(witnesses: Iterable[Witness]) -> dict[str, Any]:
    """Return what calibration.json says of witnesses: what they said, and how many human labels tell of them."""
    return {
        each.name: {
            "matched": each.line,
            "human_labels": each.labels,
            "not_read": sorted(each.thin),
            "by_source": {
                name: {
                    "pull": found.strength if np.isfinite(found.strength) else None,
                    "own": sorted(found.own),
                    "refused": list(found.refused),
                    "one_person": list(found.lone),
                }
                for name, found in each.sourced().items()
            },
        }
        for each in witnesses
    }
