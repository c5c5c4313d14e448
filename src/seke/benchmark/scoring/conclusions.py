"""What a lab concludes from finished labels: quantities by name, each as a regression on columns, and their estimates.

    prevalence     share of the faces that show an expression or an action unit
    mean           mean valence, mean arousal
    difference     of either between a group and all others (source, or an attribute of the records)
    association    P(AU | expression) - P(AU | another expression), and the log odds ratio of the two
    coefficient    of a linear or logistic regression

How they are estimated: `prediction_powered`. A number has no interval where fewer than `FEWEST` subjects, or fewer than
`FEWEST_SHOWN` faces that people looked at, tell of it; it is said why.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seke.benchmark.scoring.prediction_powered import About, Data, Floats, Found, Link, Looked, estimate, naive
from seke.core.affect import ACTION_UNITS, AU_GIVEN_EXPRESSION, EXPRESSIONS
from seke.core.intervals import ANY, FEWEST, SHARE

FEWEST_SHOWN: Final = 5
"""Faces of either kind (shows it, does not) among those that people looked at, below which there is no interval: a
handful of cases says neither how often a rare thing occurs nor how often the machine overlooks it."""
CALLED_FOR: Final = 0.5
"""P(AU | expression) from which the two are among the associations called `facs`."""
DIFFERENCE: Final = (-1.0, 1.0)
DIMENSIONS: Final = ("valence", "arousal")
Kind = Literal["prevalence", "mean", "difference", "association", "odds", "coefficient"]
WITHIN: Final[Mapping[str, tuple[float, float]]] = {"prevalence": SHARE, "mean": DIFFERENCE, "association": DIFFERENCE}
"""The least and the greatest value of a kind, where there are any."""


class Term(NamedTuple):
    """One column of a regression."""

    column: str
    equals: str | None = None
    """Where the column holds words: 1 for this one, else 0."""

    @property
    def name(self) -> str:
        """What it is called in a table."""
        column = self.column.removeprefix("attributes.")
        return column if self.equals is None else f"{column} = {self.equals}"


class Quantity(NamedTuple):
    """One number: the coefficient of the last of `terms`, or the mean of the outcome where there are none."""

    kind: Kind
    name: str
    outcome: str
    terms: tuple[Term, ...] = ()
    link: Link = "identity"
    within_group: Term | None = None
    """The records that it is about; None: all."""


@dataclass(frozen=True)
class Column:
    """A column of N records by the machine and by people."""

    machine_N: NDArray[Any]
    """Numbers, or words of a grouping; NaN or None where there is none."""
    human_N: NDArray[Any]
    """What people said, wherever they did."""
    always_N: NDArray[np.bool_]
    """Where people said it from the start."""

    @property
    def binary(self) -> bool:
        """Whether it says yes or no."""
        values = self.machine_N[~np.isnan(self.machine_N)] if self.machine_N.dtype.kind == "f" else []
        return len(values) > 0 and bool(np.all((values == 0) | (values == 1)))


@dataclass(frozen=True)
class Table:
    """The columns of N records, and who looked at these."""

    columns: Mapping[str, Column]
    probability_N: Floats
    """With which a record was drawn for people to look at; NaN where it was not in the sample."""
    rejected_N: NDArray[np.bool_]
    """Drawn, looked at, and found to be no face that can be labelled: not in what people's numbers are about."""
    gone_N: NDArray[np.bool_]
    """Rejected, drawn or not: not among the finished labels."""
    subject_N: NDArray[np.intp]


class Concluded(NamedTuple):
    """One quantity's numbers; NaN and None where there are none."""

    quantity: Quantity
    found: Found | None
    """Corrected, and by people alone."""
    naive: float
    naive_interval: list[float] | None
    records: int
    """Whose labels enter."""
    subjects: int
    by_people: int
    """Records whose labels people gave from the start."""
    drawn: int
    remark: str
    """Why there is no corrected interval, or what else must be known; empty: nothing."""


def prevalences(names: Sequence[str]) -> list[Quantity]:
    """Return the share of each expression or action unit."""
    return [Quantity("prevalence", name, name) for name in names]


def means(names: Sequence[str]) -> list[Quantity]:
    """Return the mean of each dimension."""
    return [Quantity("mean", name, name) for name in names]


def by_group(quantities: Sequence[Quantity], key: str, groups: Sequence[str]) -> Iterator[Quantity]:
    """Yield each quantity within each group, and its difference to the other groups (of two groups: once)."""
    terms = [Term(key, group) for group in groups]
    for quantity in quantities:
        for term in terms:
            yield quantity._replace(name=f"{quantity.name}, {term.name}", within_group=term)
        for term in terms[1:] if len(terms) == 2 else terms:
            name = f"{quantity.name}, {term.name} less {terms[0].equals if len(terms) == 2 else 'others'}"
            yield Quantity("difference", name, quantity.outcome, (term,))


def associations(pairs: Sequence[tuple[str, str]]) -> Iterator[Quantity]:
    """Yield what an expression adds to the share of faces that show an AU, and the log odds ratio."""
    for au, expression in pairs:
        yield Quantity("association", f"{au} where {expression}, less elsewhere", au, (Term(expression),))
        yield Quantity("odds", f"{au} and {expression}, log odds ratio", au, (Term(expression),), "logit")


def called_for() -> list[tuple[str, str]]:
    """Return the pairs of AU and expression that FACS names as prototypes."""
    return [
        (f"AU{au}", expression)
        for expression, units in AU_GIVEN_EXPRESSION.items()
        for au, share in units.items()
        if share >= CALLED_FOR
    ]


def coefficients(outcome: str, terms: Sequence[Term], link: Link) -> Iterator[Quantity]:
    """Yield the coefficient of each predictor in one regression."""
    name = "log odds of " * (link == "logit") + outcome
    for place, term in enumerate(terms):
        others = (*terms[:place], *terms[place + 1 :])
        yield Quantity("coefficient", f"{name} on {term.name}", outcome, (*others, term), link)


def label_names() -> list[str]:
    """Return the names of the columns that are labels."""
    return [*EXPRESSIONS, *(f"AU{au}" for au in ACTION_UNITS), *DIMENSIONS]


def conclude(table: Table, quantity: Quantity, about: About, audited: bool) -> Concluded:
    """Return one quantity's numbers.

    Args:
        table: the columns.
        quantity: which.
        about: what its intervals are about (`prediction_powered`).
        audited: whether there is a random sample that people looked at.
    """
    names = {quantity.outcome, *(term.column for term in quantity.terms)}
    columns = [table.columns[name] for name in sorted(names)]
    group = quantity.within_group
    there_N = np.logical_and.reduce([_there(column.machine_N) for column in columns])
    always_N = np.logical_and.reduce([column.always_N for column in columns])
    if group is not None:
        there_N &= _equals(table.columns[group.column].machine_N, str(group.equals)) == 1
    checked_N = ~np.isnan(table.probability_N) & ~always_N
    said_N = np.logical_and.reduce([_there(column.human_N) for column in columns]) | table.rejected_N
    part = _Part(table, quantity, there_N)
    machine, human = part.data("machine"), part.data("human")
    looked = Looked(always_N[there_N], table.probability_N[there_N], part.subject_N)
    gone_N = table.gone_N[there_N]
    finished = _finished(machine, human, gone_N)
    coefficient_P = np.eye(machine.x_NP.shape[1])[-1]
    within = WITHIN.get(quantity.kind, ANY)
    if quantity.kind == "difference" and table.columns[quantity.outcome].binary:
        within = DIFFERENCE
    plain = naive(finished, part.subject_N, coefficient_P, quantity.link, within) if len(machine.y_N) else None
    value, bounds = plain or (np.nan, None)
    remark = _remark(part, human, looked, audited, bool(np.any(checked_N & there_N & ~said_N)))
    found = None
    if not remark.startswith(_NOTHING):
        found = estimate(machine, human, looked, coefficient_P, quantity.link, about, within)
        if found is None:
            remark = f"{_NOTHING}: what people looked at shows one of the combinations always or never"
        elif found.interval is None and not remark:
            remark = f"{_NOTHING}: no variance among what people looked at"
    if part.fewest_subjects < FEWEST:
        bounds = None
        found = found and found._replace(interval=None, human_interval=None)
    return Concluded(
        quantity,
        found,
        value,
        bounds,
        int(np.count_nonzero(there_N & ~table.gone_N)),
        len(np.unique(part.subject_N)),
        int(np.count_nonzero(there_N & always_N)),
        int(np.count_nonzero(there_N & checked_N)),
        remark,
    )


_NOTHING: Final = "not corrected"


class _Part:
    """The records that one quantity is about, as regressions see them."""

    def __init__(self, table: Table, quantity: Quantity, there_N: NDArray[np.bool_]) -> None:
        self.table, self.quantity, self.there_N = table, quantity, there_N
        self.subject_N = np.unique(table.subject_N[there_N], return_inverse=True)[1]

    def data(self, who: Literal["machine", "human"]) -> Data:
        """Return the machine's account of the records, or that of people."""
        rows_N = self.there_N
        inside_N = np.ones(int(np.count_nonzero(rows_N)))
        if who == "human":
            inside_N[self.table.rejected_N[rows_N]] = 0.0

        def values(name: str) -> NDArray[Any]:
            column: NDArray[Any] = getattr(self.table.columns[name], f"{who}_N")[rows_N]
            return column

        y_N = values(self.quantity.outcome).astype(np.float64)
        x = [np.ones(len(y_N))]
        for term in self.quantity.terms:
            column_N = values(term.column)
            x.append(column_N.astype(np.float64) if term.equals is None else _equals(column_N, term.equals))
        x_NP = np.stack(x, axis=1)
        if who == "human":  # what a rejected face shows does not matter, but must be a number
            out_N = inside_N == 0
            y_N, x_NP = np.where(out_N, 0.0, y_N), np.where(out_N[:, None], 0.0, x_NP)
        return Data(y_N, x_NP, inside_N)

    @property
    def fewest_subjects(self) -> int:
        """The number of subjects, of a difference that of the smaller group."""
        if self.quantity.kind != "difference":
            return len(np.unique(self.subject_N))
        inside_N = self.data("machine").x_NP[:, -1] == 1
        return min(len(np.unique(self.subject_N[kept_N])) for kept_N in (inside_N, ~inside_N))


def _finished(machine: Data, human: Data, gone_N: NDArray[np.bool_]) -> Data:
    """Return the labels as they stand in the end: people's where there are any."""
    return Data(
        np.where(np.isnan(human.y_N), machine.y_N, human.y_N),
        np.where(np.isnan(human.x_NP), machine.x_NP, human.x_NP),
        np.where(gone_N, 0.0, 1.0),
    )


def _remark(part: _Part, human: Data, looked: Looked, audited: bool, gap: bool) -> str:
    """Return why a quantity is not corrected; empty where it is."""
    if part.fewest_subjects < FEWEST:
        return f"{_NOTHING}, no interval: fewer than {FEWEST} subjects"
    if looked.always_N.all():
        return "all labels are people's: nothing to correct"
    if not audited:
        return f"{_NOTHING}: no random sample that people looked at"
    if gap:
        return f"{_NOTHING}: people looked at the sample and gave no such label of some"
    kept_N = looked.drawn_N & (human.inside_N == 1)
    if (count := int(np.count_nonzero(kept_N))) < 2 * FEWEST_SHOWN:
        return f"{_NOTHING}: people looked at {count} of these faces"
    named = [(part.quantity.outcome, human.y_N), *zip(_names(part.quantity), human.x_NP.T[1:], strict=True)]
    for name, values_N in named:
        values = values_N[kept_N]
        if np.all((values == 0) | (values == 1)):
            shown = int(values.sum())
            if (fewer := min(shown, count - shown)) < FEWEST_SHOWN:
                which = "show" if shown <= count - shown else "do not show"
                return f"{_NOTHING}: {fewer} of {count} audited faces {which} {name}, {FEWEST_SHOWN} are needed"
    if part.quantity.link == "logit" or part.quantity.kind == "difference":
        return _rare_cell(part.quantity, human, kept_N)
    return ""


def _rare_cell(quantity: Quantity, human: Data, kept_N: NDArray[np.bool_]) -> str:
    """Return why a quantity of two groups is not corrected: it rests on the rarest combination of two things."""
    y_N = human.y_N[kept_N]
    if not np.all((y_N == 0) | (y_N == 1)):
        return ""
    for name, x_N in zip(_names(quantity), human.x_NP[kept_N].T[1:], strict=True):
        if np.all((x_N == 0) | (x_N == 1)):
            cells = [int(np.count_nonzero((y_N == shows) & (x_N == has))) for shows in (0, 1) for has in (0, 1)]
            if (fewest := min(cells)) < FEWEST_SHOWN:
                rarest = f"{fewest} audited faces show the rarest combination of {quantity.outcome} and {name}"
                return f"{_NOTHING}: {rarest}, {FEWEST_SHOWN} are needed"
    return ""


def _names(quantity: Quantity) -> list[str]:
    return [term.name for term in quantity.terms]


def _there(values_N: NDArray[Any]) -> NDArray[np.bool_]:
    if values_N.dtype.kind == "f":
        known: NDArray[np.bool_] = ~np.isnan(values_N)
        return known
    return np.array([value is not None for value in values_N], dtype=np.bool_)


def _equals(values_N: NDArray[Any], word: str) -> Floats:
    return np.array([value == word for value in values_N], dtype=np.float64)


def absent(table: Table, quantity: Quantity) -> str:
    """Return why a quantity does not exist: nothing has its labels, or these never vary; empty where it does."""
    for name in (quantity.outcome, *(term.column for term in quantity.terms)):
        column = table.columns[name]
        there_N = _there(column.machine_N)
        if not there_N.any():
            return f"no record has {name}"
        values = [*column.machine_N[there_N], *column.human_N[_there(column.human_N)]]
        if len(set(values)) < 2:
            return (
                f"{name} is {values[0]:g} of every record" if isinstance(values[0], float) else f"{name} never varies"
            )
    return ""


def as_json(result: Concluded) -> dict[str, Any]:
    """Return one quantity as metrics.json has it: numbers that nobody knows are None."""
    found = result.found
    return {
        "kind": result.quantity.kind,
        "name": result.quantity.name,
        "value": _number(found and found.estimate),
        "ci95": found and found.interval,
        "naive": _number(result.naive),
        "naive_ci95": result.naive_interval,
        "human": _number(found and found.human),
        "human_ci95": found and found.human_interval,
        "effective": _number(found and found.effective),
        "power": _number(found and found.power),
        "drawn": result.drawn,
        "by_people": result.by_people,
        "records": result.records,
        "subjects": result.subjects,
        "remark": result.remark,
    }


def _number(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)
