"""Agreement of annotators where nobody knows what is right: kappa, alpha, ICC and limits of agreement, by subject.

Every number is a formula on sums over images. Each subject's images are reduced once to these sums, and a resample of
subjects is a weighted sum of them (`bootstrap.resampled`), so that value and interval come from one formula.

    N  images     K  annotators     C  the 8 expressions     A  the 17 action units     G  subjects     B  resamples
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seke.benchmark.scoring.arrays import AUS, UNKNOWN
from seke.benchmark.scoring.bootstrap import resampled
from seke.benchmark.scoring.intensity import Sums, icc
from seke.core.affect import EXPRESSIONS
from seke.core.intervals import ANY, CORRELATION, ERROR, SHARE, interval
from seke.core.rules import all_near

Floats = NDArray[np.float64]
DRAWS: Final = 1000
CLASSES: Final = len(EXPRESSIONS)
DIMENSIONS: Final = ("valence", "arousal")
LIMIT: Final = 1.96
"""Standard deviations to either side of the mean difference: the limits between which 95 % of normal ones lie."""
WITHIN: Final = {"agreement": SHARE, "within": SHARE, "sd": ERROR, "bias": ANY, "loa_low": ANY, "loa_high": ANY}
"""What values a measure can have; all others are a `CORRELATION`, whose lowest value is no less than -1."""
CONSTANT: Final = 1e-12


@dataclass(frozen=True)
class Annotated:
    """N images as K annotators see them."""

    names: tuple[str, ...]
    expression_KN: NDArray[np.int64]
    """Index into affect.EXPRESSIONS, or UNKNOWN."""
    au_KNA: NDArray[np.int64]
    """1 active, 0 not active, UNKNOWN where the annotator does not say."""
    va_KN2: Floats
    """Valence and arousal in [-1, 1], NaN where the annotator does not say."""
    group_N: NDArray[np.int64]
    """Which subject, as 0, 1, ...; an image without a subject is a group of its own."""

    def of(self, *places: int) -> "Annotated":
        """Return some of the annotators."""
        kept = list(places)
        names = tuple(self.names[place] for place in kept)
        return Annotated(names, self.expression_KN[kept], self.au_KNA[kept], self.va_KN2[kept], self.group_N)


def compared(data: Annotated, seed: int = 0, draws: int = DRAWS) -> dict[str, Any]:
    """Return agreement.json's numbers: Krippendorff's alpha of all annotators, and every two of them side by side.

    Returns:
        "annotators"; "n" images that two or more have labelled, and of how many "subjects"; "draws" of the bootstrap;
        per description "alpha" (Krippendorff 2011: nominal for expression and action units, interval for valence and
        arousal; missing labels are allowed for) and "n"; their "ci95"; and "pairs", each with "first", "second" and

        - expression: "agreement" (share of the images that both labelled) and "kappa" (Cohen 1960)
        - action_units: the same of all AUs together ("agreement"), "kappa" by AU, and "kappa_mean" of those defined
        - valence, arousal: "icc" (ICC(2,1), Shrout & Fleiss 1979), "within" (share within 0.2), and of first - second
          "bias" (the mean), "sd", "loa_low" and "loa_high", the limits of agreement (Bland & Altman 1986)

        with "n" images and "ci95". None where undefined, such as a kappa of two annotators who always say the same one
        thing, or an interval of fewer than three subjects.
    """
    labelled_N = several(data)
    sums = _alpha_sums(data)
    found, bounds = _measured(sums, _alphas, _alpha_clusters(sums), draws, seed)
    return {
        "annotators": list(data.names),
        "n": int(labelled_N.sum()),
        "subjects": len(np.unique(data.group_N[labelled_N])),
        "draws": draws,
        **found,
        "ci95": bounds,
        "pairs": [_pair(data.of(*places), draws, seed) for places in combinations(range(len(data.names)), 2)],
    }


def several(data: Annotated) -> NDArray[np.bool_]:
    """Return which images have a label of one description or more from at least two annotators."""
    known_KN = np.stack([data.expression_KN != UNKNOWN, *(~np.isnan(data.va_KN2[..., t]) for t in (0, 1))])
    several_N = (known_KN.sum(1) > 1).any(0)
    return np.asarray(several_N | ((data.au_KNA != UNKNOWN).sum(0) > 1).any(1))


def _pair(data: Annotated, draws: int, seed: int) -> dict[str, Any]:
    sums = _pair_sums(data)
    found, bounds = _measured(sums, _pair_measures, _pair_clusters(sums), draws, seed)
    return {"first": data.names[0], "second": data.names[1], **found, "ci95": bounds}


def _measured(sums: Mapping[str, Floats], formula: Any, clusters: Mapping[str, Any], draws: int, seed: int) -> Any:
    """Return the measures of all subjects, by description, and their intervals."""
    whole = formula({name: values.sum(0, keepdims=True) for name, values in sums.items()})
    drawn = formula(resampled(sums, draws, seed))
    found: dict[str, Any] = {}
    bounds: dict[str, Any] = {}
    for task, measures in whole.items():
        counted = clusters[task]
        found[task], bounds[task] = {}, {}
        for name, value in measures.items():
            if name == "n":
                found[task][name] = int(value[0])
                continue
            within = WITHIN.get(name, CORRELATION)
            if value.ndim == 2:
                found[task][name] = {str(au): _number(value[0, a]) for a, au in enumerate(AUS)}
                bounds[task][name] = {
                    str(au): interval(drawn[task][name][:, a], value[0, a], int(counted["each"][a]), within)
                    for a, au in enumerate(AUS)
                }
            else:
                found[task][name] = _number(value[0])
                bounds[task][name] = interval(drawn[task][name], value[0], int(counted["all"]), within)
    return found, bounds


def _by_subject(group_N: NDArray[np.int64], values: Mapping[str, NDArray[Any]]) -> dict[str, Floats]:
    """Return each subject's sums, (G, X) each, of values that are (N, X)."""
    found = {}
    for name, values_NX in values.items():
        found[name] = np.zeros((int(group_N.max(initial=-1)) + 1, values_NX.shape[1]))
        np.add.at(found[name], group_N, values_NX)
    return found


def _nominal(codes_KN: NDArray[np.int64], classes: int) -> tuple[Floats, Floats]:
    """Return what alpha needs of images coded by several: their disagreement (N,), and how often each class (N, C)."""
    counts_NC = (codes_KN[..., None] == np.arange(classes)).sum(0).astype(np.float64)
    coders_N = counts_NC.sum(1)
    paired_N = coders_N > 1
    unequal_N = (coders_N**2 - (counts_NC**2).sum(1)) / np.maximum(coders_N - 1, 1)
    return np.where(paired_N, unequal_N, 0.0), np.where(paired_N[:, None], counts_NC, 0.0)


def _alpha_sums(data: Annotated) -> dict[str, Floats]:
    """Return per subject the sums that alphas are made of.

    A value counts where another annotator values the same image (it is pairable). expression_D and au_DA: sum over
    images of the differing ordered pairs of values over (values - 1); expression_C, au_on_A and au_all_A: how many
    values; va_D2: the same sum of squared differences, va_n2, va_x2 and va_xx2: of values their number and moments.
    """
    unequal_N, counts_NC = _nominal(data.expression_KN, CLASSES)
    units = [_nominal(data.au_KNA[..., a], 2) for a in range(len(AUS))]
    coded_NA = np.stack([counts.sum(1) for _, counts in units], 1)
    coded_N = np.asarray((coded_NA > 1).any(1), dtype=np.float64)
    known_KN2 = ~np.isnan(data.va_KN2)
    x_KN2 = np.where(known_KN2, data.va_KN2, 0.0)
    n_N2 = known_KN2.sum(0).astype(np.float64)
    paired_N2 = np.asarray(n_N2 > 1)
    squares_N2 = 2 * (n_N2 * (x_KN2**2).sum(0) - x_KN2.sum(0) ** 2) / np.maximum(n_N2 - 1, 1)
    return _by_subject(
        data.group_N,
        {
            "expression_D": unequal_N[:, None],
            "expression_C": counts_NC,
            "au_DA": np.stack([unequal for unequal, _ in units], 1),
            "au_on_A": np.stack([counts[:, 1] for _, counts in units], 1),
            "au_all_A": coded_NA,
            "va_D2": np.where(paired_N2, squares_N2, 0.0),
            "va_n2": np.where(paired_N2, n_N2, 0.0),
            "va_x2": np.where(paired_N2, x_KN2.sum(0), 0.0),
            "va_xx2": np.where(paired_N2, (x_KN2**2).sum(0), 0.0),
            "expression_N": (counts_NC.sum(1) > 1)[:, None].astype(np.float64),
            "au_N": coded_N[:, None],
            "va_N2": paired_N2.astype(np.float64),
        },
    )


def _alphas(totals: Mapping[str, Floats]) -> dict[str, dict[str, Floats]]:
    """Return Krippendorff's alphas, 1 - observed / expected disagreement, (B,) or (B, A), of sums that are (B, ...)."""
    counts_BC = totals["expression_C"]
    on_BA, all_BA = totals["au_on_A"], totals["au_all_A"]
    units_BA = _alpha(totals["au_DA"], all_BA, all_BA**2 - on_BA**2 - (all_BA - on_BA) ** 2)
    n_B2 = totals["va_n2"]
    values_B2 = _alpha(totals["va_D2"], n_B2, 2 * (n_B2 * totals["va_xx2"] - totals["va_x2"] ** 2))
    expression_B = _alpha(totals["expression_D"][:, 0], counts_BC.sum(1), counts_BC.sum(1) ** 2 - (counts_BC**2).sum(1))
    return {
        "expression": {"n": totals["expression_N"][:, 0], "alpha": expression_B},
        "action_units": {"n": totals["au_N"][:, 0], "alpha": units_BA, "alpha_mean": _mean(units_BA)},
        **{name: {"n": totals["va_N2"][:, t], "alpha": values_B2[:, t]} for t, name in enumerate(DIMENSIONS)},
    }


def _alpha(observed: Floats, n: Floats, expected: Floats) -> Floats:
    """Return 1 - (observed / n) / (expected / (n (n - 1))); NaN where all values are the same, or there are none."""
    defined = (n > 1) & (expected > CONSTANT * np.maximum(n, 1) ** 2)
    return np.where(defined, 1 - (n - 1) * observed / np.where(defined, expected, 1.0), np.nan)


def _alpha_clusters(sums: Mapping[str, Floats]) -> dict[str, Any]:
    """Return of how many subjects each alpha is."""
    return {
        "expression": {"all": np.count_nonzero(sums["expression_N"])},
        "action_units": {
            "all": np.count_nonzero(sums["au_N"]),
            "each": np.count_nonzero(sums["au_all_A"], axis=0),
        },
        **{name: {"all": np.count_nonzero(sums["va_N2"][:, t])} for t, name in enumerate(DIMENSIONS)},
    }


def _pair_sums(data: Annotated) -> dict[str, Floats]:
    """Return per subject the sums that the measures of two annotators are made of.

    confusion_CC: images by what the first and the second say. au_4A: active to both, to the first, to the second, and
    images that both judged. va_42: number, sum of both values, of their squares, ...
    """
    first_N, second_N = data.expression_KN
    both_N = (first_N != UNKNOWN) & (second_N != UNKNOWN)
    confusion_NCC = np.zeros((len(both_N), CLASSES * CLASSES))
    confusion_NCC[np.flatnonzero(both_N), first_N[both_N] * CLASSES + second_N[both_N]] = 1
    one_NA, two_NA = data.au_KNA
    judged_NA = (one_NA != UNKNOWN) & (two_NA != UNKNOWN)
    known_N2 = np.asarray(~np.isnan(data.va_KN2).any(0))
    x_N2, y_N2 = (np.where(known_N2, values, 0.0) for values in data.va_KN2)
    near_N2 = known_N2 & all_near(np.minimum(x_N2, y_N2), np.maximum(x_N2, y_N2))
    return _by_subject(
        data.group_N,
        {
            "confusion": confusion_NCC,
            "both_A": judged_NA & (one_NA == 1) & (two_NA == 1),
            "first_A": judged_NA & (one_NA == 1),
            "second_A": judged_NA & (two_NA == 1),
            "judged_A": judged_NA,
            "au_N": judged_NA.any(1)[:, None],
            "n2": known_N2,
            "near2": near_N2,
            "x2": x_N2,
            "y2": y_N2,
            "xx2": x_N2**2,
            "yy2": y_N2**2,
            "total2": (x_N2 + y_N2) ** 2,
            "dd2": (x_N2 - y_N2) ** 2,
        },
    )


def _pair_measures(totals: Mapping[str, Floats]) -> dict[str, dict[str, Floats]]:
    confusion_BCC = totals["confusion"].reshape(-1, CLASSES, CLASSES)
    n_B = confusion_BCC.sum((1, 2))
    both_BA, judged_BA = totals["both_A"], totals["judged_A"]
    only_BA = totals["first_A"] + totals["second_A"] - 2 * both_BA
    table_BA22 = np.stack(
        [
            np.stack([both_BA, totals["first_A"] - both_BA], -1),
            np.stack([totals["second_A"] - both_BA, judged_BA - both_BA - only_BA], -1),
        ],
        -2,
    )
    kappa_BA = kappa(table_BA22)
    return {
        "expression": {
            "n": n_B,
            "agreement": _ratio(np.trace(confusion_BCC, axis1=1, axis2=2), n_B),
            "kappa": kappa(confusion_BCC),
        },
        "action_units": {
            "n": totals["au_N"][:, 0],
            "agreement": _ratio(judged_BA.sum(1) - only_BA.sum(1), judged_BA.sum(1)),
            "kappa": kappa_BA,
            "kappa_mean": _mean(kappa_BA),
        },
        **{
            name: {part: values_B2[:, t] for part, values_B2 in _of_values(totals).items()}
            for t, name in enumerate(DIMENSIONS)
        },
    }


def _of_values(totals: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return ICC(2,1) and Bland and Altman's numbers of two annotators' values, (B, 2) each."""
    n = totals["n2"]
    ratings = (np.stack([totals[x], totals[y]], -1) for x, y in (("x2", "y2"), ("xx2", "yy2")))
    bias = _ratio(totals["x2"] - totals["y2"], n)
    variance = (totals["dd2"] - n * np.nan_to_num(bias) ** 2) / np.maximum(n - 1, 1)
    sd = np.where(n > 1, np.sqrt(np.maximum(variance, 0.0)), np.nan)
    return {
        "n": n,
        "icc": icc(Sums(n, next(ratings), next(ratings), totals["total2"])).two_one,
        "within": _ratio(totals["near2"], n),
        "bias": bias,
        "sd": sd,
        "loa_low": bias - LIMIT * sd,
        "loa_high": bias + LIMIT * sd,
    }


def _pair_clusters(sums: Mapping[str, Floats]) -> dict[str, Any]:
    return {
        "expression": {"all": np.count_nonzero(sums["confusion"].sum(1))},
        "action_units": {"all": np.count_nonzero(sums["au_N"]), "each": np.count_nonzero(sums["judged_A"], axis=0)},
        **{name: {"all": np.count_nonzero(sums["n2"][:, t])} for t, name in enumerate(DIMENSIONS)},
    }


def kappa(confusion_CC: Floats) -> Floats:
    """Return Cohen's kappa (1960) of confusion matrices (..., C, C); NaN where chance alone would agree always.

    >>> round(float(kappa(np.array([[20.0, 5.0], [10.0, 15.0]]))), 9)
    0.4
    """
    n = confusion_CC.sum((-2, -1))
    observed = _ratio(np.trace(confusion_CC, axis1=-2, axis2=-1), n)
    chance = _ratio((confusion_CC.sum(-1) * confusion_CC.sum(-2)).sum(-1), n**2)
    defined = (n > 0) & (chance < 1 - CONSTANT)
    return np.where(defined, (observed - chance) / np.where(defined, 1 - chance, 1.0), np.nan)


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    known = denominator > 0
    return np.where(known, numerator / np.where(known, denominator, 1), np.nan)


def _mean(values_BA: Floats) -> Floats:
    """Return the mean over the defined ones of A values, NaN if there is none."""
    defined = ~np.isnan(values_BA)
    return _ratio(np.where(defined, values_BA, 0.0).sum(1), defined.sum(1).astype(np.float64))


def _number(value: np.float64) -> float | None:
    return None if np.isnan(value) else float(value)


class Differing(NamedTuple):
    """On which of N images, and in what, annotators who say something of it do not say the same."""

    expression_N: NDArray[np.bool_]
    va_N2: NDArray[np.bool_]
    """By more than 0.2."""
    au_NA: NDArray[np.bool_]

    @property
    def any_N(self) -> NDArray[np.bool_]:
        """Whether they differ in anything."""
        return np.asarray(self.expression_N | self.va_N2.any(1) | self.au_NA.any(1))


def differing(data: Annotated) -> Differing:
    """Return where the annotators differ; one who says nothing of a description differs from nobody."""

    def codes(values_K: NDArray[np.int64]) -> NDArray[np.bool_]:
        known = values_K != UNKNOWN
        highest = values_K.max(0)
        return np.asarray((known & (values_K != highest)).any(0))

    known_KN2 = ~np.isnan(data.va_KN2)
    highest_N2 = np.where(known_KN2, data.va_KN2, -np.inf).max(0)
    lowest_N2 = np.where(known_KN2, data.va_KN2, np.inf).min(0)
    apart_N2 = known_KN2.any(0) & ~all_near(lowest_N2, highest_N2)
    return Differing(codes(data.expression_KN), apart_N2, codes(data.au_KNA))


def said(data: Annotated, place: int, where: Differing) -> Iterator[tuple[str, list[Any]]]:
    """Yield each description of an image on which the annotators differ, with what each of them says; None: nothing."""
    if where.expression_N[place]:
        codes = data.expression_KN[:, place]
        yield "expression", [None if code == UNKNOWN else EXPRESSIONS[code] for code in codes]
    for t, name in enumerate(DIMENSIONS):
        if where.va_N2[place, t]:
            yield name, [_number(value) for value in data.va_KN2[:, place, t]]
    for a in np.flatnonzero(where.au_NA[place]):
        states = data.au_KNA[:, place, a]
        yield f"AU{AUS[a]}", [None if state == UNKNOWN else int(state) for state in states]
