"""The control that does not look at the picture: missing labels from the known human ones and couplings alone.

What an annotator adds to a label is what it adds to this, which needs no picture, no call and no money. Naive Bayes
with the expression as the hub (`label_prior`), fitted on the human labels of other subjects:

    P(expression | known)  ~  P(expression) prod P(known label | expression)
    P(AU active | known)   =  sum over expressions of P(expression | known) P(AU active | expression)

and likewise valence and arousal, as mixtures of normals.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from seke.core.errors import UserError
from seke.core.label_prior import AUS, COLUMN, Array, Couplings, Table, couplings, tabulate
from seke.core.records import Labels
from seke.generation.asked import Asked
from seke.generation.calibration.posterior import Posterior, blend, decided, f1_threshold

FOLDS: Final = 5
"""Parts that subjects are dealt into; a part's labels are inferred with what was fitted on the other parts."""


def infer(couplings: Couplings, known: Labels, asked: Asked) -> Posterior:
    """Return what `known` labels say about those that are asked; a known label that is asked stays certain.

    Args:
        couplings: how labels hang together, fitted on other subjects.
        known: one image's human labels.
        asked: which labels are wanted; the others are None or absent in the posterior.
    """
    log_E = np.log(couplings.expression_E) + couplings.evidence(known)
    told = known.action_units or {}
    units = {
        au: np.full(len(log_E), float(told[au])) if au in told else couplings.au_EA[:, COLUMN[au]]
        for au in asked.action_units
    }
    dims: dict[str, tuple[Array, Array]] = {}
    for place, name in enumerate(("valence", "arousal")):
        value = getattr(known, name)
        if getattr(asked, name) and value is not None:
            dims[name] = np.full(len(log_E), value), np.zeros(len(log_E))
        elif getattr(asked, name):
            dims[name] = couplings.centre_ED[:, place], couplings.spread_ED[:, place]
    return blend(log_E, known, asked.expression, units, dims)


@dataclass(frozen=True)
class NotLooking:
    """Fitted on some subjects' human labels, for the labels of others."""

    couplings: Couplings
    thresholds: Mapping[int, float]
    """An AU whose posterior exceeds this is called active (`f1_threshold`)."""
    carried: Asked
    """What at least one of the fitting labels carries; of anything else nothing is said."""

    def posterior(self, known: Labels, asked: Asked) -> Posterior:
        """Return the posterior of what is asked; None or absent where no fitting label carries it."""
        return infer(self.couplings, known, both(asked, self.carried))

    def decide(self, posterior: Posterior) -> Labels:
        """Return the labels: the likeliest expression, AUs over their thresholds, mean valence and arousal."""
        return decided(posterior, self.thresholds)


def both(one: Asked, other: Asked) -> Asked:
    """Return what is asked by `one` and by `other`."""
    units = tuple(au for au in one.action_units if au in other.action_units)
    return Asked(
        one.expression and other.expression, one.valence and other.valence, one.arousal and other.arousal, units
    )


def fit_not_looking(by_subject: Mapping[str, Iterable[Labels]], hidden: Sequence[str] = ()) -> NotLooking:
    """Fit couplings and thresholds to the human labels of some subjects.

    An AU's threshold is the best for F1 (`f1_threshold`) over the posteriors of this AU where it is missing in the
    fitting labels, or would be with `hidden`: what will be asked of the judged records, in the mixture of what is known
    of each. Where nothing misses it, all AUs are masked. Posteriors are cross-fitted: by couplings of other subjects.

    Args:
        by_subject: human labels by subject.
        hidden: the fields that are hidden of the records to be judged (`generator.hide`); here they teach.
    """
    return _fitted(_Rows.of(by_subject, hidden))


def cross_fitted(
    by_subject: Mapping[str, Iterable[Labels]], hidden: Sequence[str] = (), folds: int = FOLDS
) -> Mapping[str, NotLooking]:
    """Return for each subject what was fitted on other subjects alone; subjects of a fold share it.

    Raises:
        UserError: if there are fewer than two subjects.
    """
    if len(by_subject) < 2:
        raise UserError(
            "records",
            f"{len(by_subject)} subject{'s' * (len(by_subject) != 1)}",
            "labels are inferred from those of other people, and there are none",
            "give records of at least two subjects",
        )
    rows = _Rows.of(by_subject, hidden)
    number = deal(list(by_subject), folds)
    fold_N = np.array([number[subject] for subject in rows.subjects])
    fitted = {fold: _fitted(rows.where(fold_N != fold)) for fold in set(number.values())}
    return {subject: fitted[number[subject]] for subject in by_subject}


def deal(subjects: Sequence[str], folds: int = FOLDS) -> Mapping[str, int]:
    """Return each subject's fold: dealt out in the order of their hashes, so that folds are of equal size."""
    ordered = sorted(set(subjects), key=lambda name: hashlib.sha256(f"not looking\0{name}".encode()).digest())
    return {name: place % folds for place, name in enumerate(ordered)}


@dataclass(frozen=True)
class _Rows:
    """Fitting labels, a row each."""

    subjects: Sequence[str]
    full: Table
    shown: Table
    """Without what is hidden of the judged records."""

    @classmethod
    def of(cls, by_subject: Mapping[str, Iterable[Labels]], hidden: Sequence[str]) -> "_Rows":
        pairs = [(subject, labels) for subject, given in by_subject.items() for labels in given]
        masked = [labels.model_copy(update=dict.fromkeys(hidden)) for _, labels in pairs]
        return cls([subject for subject, _ in pairs], tabulate(labels for _, labels in pairs), tabulate(masked))

    def where(self, rows_N: NDArray[np.bool_]) -> "_Rows":
        kept = [subject for subject, keep in zip(self.subjects, rows_N, strict=True) if keep]
        return _Rows(kept, self.full.where(rows_N), self.shown.where(rows_N))


def _fitted(rows: _Rows) -> NotLooking:
    number = deal(rows.subjects)
    fold_N = np.array([number[subject] for subject in rows.subjects], dtype=int)
    bare = rows.shown._replace(units_NA=np.full_like(rows.shown.units_NA, np.nan))
    p_NA, masked_NA = np.full_like(bare.units_NA, np.nan), np.full_like(bare.units_NA, np.nan)
    if len(set(number.values())) > 1:
        for fold in set(number.values()):
            inside = fold_N == fold
            links = couplings(rows.full.where(~inside))
            p_NA[inside], masked_NA[inside] = (_active(links, some.where(inside)) for some in (rows.shown, bare))
    missing_NA = np.isnan(rows.shown.units_NA)
    thresholds = {}
    for au, column in COLUMN.items():
        asked_N = missing_NA[:, column]
        p_N = p_NA[asked_N, column] if asked_N.any() else masked_NA[:, column]
        thresholds[au] = f1_threshold(p_N[~np.isnan(p_N)].tolist())
    told_A, told_D = (np.any(~np.isnan(table), axis=0).tolist() for table in (rows.full.units_NA, rows.full.va_ND))
    carried = Asked(
        expression=bool(rows.full.expression_NE.any()),
        valence=told_D[0],
        arousal=told_D[1],
        action_units=tuple(au for au, told in zip(AUS, told_A, strict=True) if told),
    )
    return NotLooking(couplings(rows.full), thresholds, carried)


def _active(links: Couplings, known: Table) -> Array:
    """Return P(AU active | known labels), (N, A): what `infer` says of AUs that are unknown, for many images."""
    p_NE = softmax(np.log(links.expression_E) + links.evidence_NE(known), axis=1)
    p_NA: Array = p_NE @ links.au_EA
    return p_NA
