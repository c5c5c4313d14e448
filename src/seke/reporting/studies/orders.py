"""Expected orders of a study's rows: which of them hold, measure by measure, and how many would by chance alone.

Two runs are compared on the pictures that both scored, resampled together (faces by subject): the difference has an
interval of its own, far narrower than two separate ones tell. Over several seeds, the differences of equal seeds are
tested together, over seeds and subjects (`core.intervals.over_seeds`). A table has many comparisons, of which chance
alone makes some look good: an order holds where it is significant by Holm's correction over all of them. Differences
are signed so that + is as expected, whether more or less of a measure is better.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import stdev
from typing import Any, Literal, NamedTuple

from seke.core.errors import UserError
from seke.core.intervals import Difference, Estimate, holm, over_seeds
from seke.core.records import Prediction
from seke.reporting.data import general, scenes
from seke.reporting.data.runs import FinishedRun, estimate
from seke.reporting.data.tables import Column, Row, Table, signed
from seke.reporting.studies.runs import Line

SIGNIFICANT = 0.05
"""A p-value below which a difference is no chance."""
Compare = Callable[[Sequence[Any], Sequence[Any], str], Mapping[str, Any]]
"""(ours, theirs, name of theirs) -> {"metrics": rows of task, metric, difference = ours - theirs, ci95, p, ...}."""
Outcome = Literal["holds", "reversed", "within chance", "not tested", "not measured"]


class Comparisons(NamedTuple):
    """How the predictions of two evaluations on the same pictures are compared."""

    faces: Compare
    scenes: Compare
    general: Compare | None = None
    """None: general questions are not compared."""


class MeasureVerdict(NamedTuple):
    """By how much the row that should be better is better on one measure."""

    column: Column
    gain: float | None
    low: float | None = None
    high: float | None = None
    """The 95 % interval, paired by subject, and over the seeds where there are several; None where nothing tells."""
    each: tuple[float, ...] = ()
    """Of several seeds: the gain in each."""
    p: float | None = None
    """Of no difference, this comparison alone; None where it could not be tested."""
    p_holm: float | None = None
    """The same, corrected for all comparisons of the table."""

    @property
    def outcome(self) -> Outcome:
        """What became of the expectation, all comparisons of the table allowed for."""
        if self.gain is None:
            return "not measured"
        if self.p_holm is None:
            return "not tested"
        if self.p_holm >= SIGNIFICANT:
            return "within chance"
        return "holds" if self.gain > 0 else "reversed"

    @property
    def text(self) -> str:
        """The gain in words, e.g. "Valence MAE +0.023 (95 % +0.010 to +0.035; p = 0.004, Holm)"."""
        name = f"{self.column.group} {self.column.label.removesuffix(' %')}"
        if self.gain is None:
            return f"{name} not measured"
        said = []
        if self.low is not None and self.high is not None:
            said.append(f"95 % {self._signed(self.low)} to {self._signed(self.high)}")
        if self.p_holm is not None:
            said.append(f"p {'< 0.001' if self.p_holm < 0.001 else f'= {self.p_holm:.3f}'}, Holm")
        if self.each:
            said.append(f"{sum(gain > 0 for gain in self.each)} of {len(self.each)} seeds")
        spread = f" ± {self._signed(stdev(self.each)).lstrip('+')}" if len(self.each) > 1 else ""
        return f"{name} {self._signed(self.gain)}{spread} ({'; '.join(said) or 'point estimates only'})"

    def _signed(self, value: float) -> str:
        return signed(value * self.column.scale, self.column.digits)


class ExpectedOrder(NamedTuple):
    """One expected order: `better` above `worse` on every measure."""

    better: Line
    worse: Line
    verdicts: tuple[MeasureVerdict, ...]

    @property
    def known(self) -> list[MeasureVerdict]:
        """The measures that both rows have."""
        return [verdict for verdict in self.verdicts if verdict.gain is not None]

    @property
    def holds(self) -> int:
        """On how many measures it holds."""
        return sum(verdict.outcome == "holds" for verdict in self.verdicts)

    @property
    def sentence(self) -> str:
        """What came of it, in one sentence."""
        known = self.known
        head = f"{self.better.words.label} above {self.worse.words.label}"
        if not known:
            return f"{head}: not measured."
        turned = sum(verdict.outcome == "reversed" for verdict in known)
        as_expected = sum((verdict.gain or 0) > 0 for verdict in known)
        against = f"REVERSED on {turned}, " if turned else ""
        parts = "; ".join(f"{verdict.text}{_remark(verdict)}" for verdict in known)
        return (
            f"{head}: {against}holds on {self.holds} of {len(known)} measures ({as_expected} lie as expected): {parts}."
        )


def _remark(verdict: MeasureVerdict) -> str:
    if verdict.outcome == "reversed":
        return ", AGAINST the expectation"
    return "" if verdict.outcome == "holds" else f", {verdict.outcome}"


def by_chance(orders: Sequence[ExpectedOrder]) -> Iterator[str]:
    """Say how many of a table's comparisons look good beside how many would if no row differed from another."""
    every = [verdict for order in orders for verdict in order.known]
    tested = [verdict for verdict in every if verdict.p is not None]
    if tested:
        good = sum((verdict.gain or 0) > 0 and (verdict.p or 0) < SIGNIFICANT for verdict in tested)
        holds, number = sum(order.holds for order in orders), len(tested)
        yield (
            f"Of {number} comparisons {good} have p < {SIGNIFICANT} as expected, where chance alone would give "
            f"{number * SIGNIFICANT / 2:.1f}; Holm's correction over all {number} leaves {holds}: these hold."
        )
    seeded = [verdict for verdict in every if len(verdict.each) > 1]
    if seeded:
        agree = sum(min(verdict.each) > 0 for verdict in seeded)
        expected = sum(0.5 ** len(verdict.each) for verdict in seeded)
        yield (
            f"In {agree} of {len(seeded)} comparisons all seeds lie as expected, where chance alone would give "
            f"{expected:.1f}: that is no test."
        )


def sentences(orders: Sequence[ExpectedOrder]) -> list[str]:
    """Return what came of a table's orders, and how much of it chance alone would give."""
    return [*(order.sentence for order in orders), *by_chance(orders)]


def corrected(orders: Sequence[ExpectedOrder]) -> list[ExpectedOrder]:
    """Return a table's orders with their p-values corrected for all of its comparisons by Holm's method."""
    tested = [verdict.p for order in orders for verdict in order.verdicts if verdict.p is not None]
    p_holm = iter(holm(tested))
    return [
        order._replace(
            verdicts=tuple(
                verdict if verdict.p is None else verdict._replace(p_holm=next(p_holm)) for verdict in order.verdicts
            )
        )
        for order in orders
    ]


def verdict(column: Column, each: Sequence[Difference]) -> MeasureVerdict:
    """Judge one measure by its gain, signed as expected, under each seed."""
    known = [found for found in each if found.estimate.value is not None]
    (gain, low, high), p, _ = over_seeds(known)
    values = tuple(found.estimate.value or 0.0 for found in known)
    return MeasureVerdict(column, gain, low, high, values if len(known) > 1 else (), p)


def judge_orders(
    lines: Sequence[Line], expect: Sequence[Sequence[str]], measures: Sequence[Column], compare: Comparisons
) -> list[ExpectedOrder]:
    """Judge each expected pair [better row, worse row] of which both rows were measured, as one table."""
    rows = {line.key: line for line in lines}
    return corrected(
        [
            ExpectedOrder(rows[a], rows[b], tuple(_verdicts(rows[a], rows[b], measures, compare)))
            for a, b in expect
            if a in rows and b in rows
        ]
    )


def _verdicts(better: Line, worse: Line, measures: Sequence[Column], compare: Comparisons) -> Iterator[MeasureVerdict]:
    seeds = [seed for seed in better.each if seed in worse.each]
    paired = {seed: _paired(better, worse, seed, measures, compare) for seed in seeds}
    for column in measures:
        gains = []
        for seed in seeds:
            if (difference := _difference(better, worse, seed, column)) is not None:
                found = paired[seed].get(column.key, Difference(Estimate(difference)))
                gains.append(turned(found) if column.better == "low" else found)
        yield verdict(column, gains)


def turned(found: Difference) -> Difference:
    """Return the same difference with its sign changed."""
    value, low, high = (None if end is None else -end for end in found.estimate)
    return found._replace(estimate=Estimate(value, high, low))


def _difference(better: Line, worse: Line, seed: str, column: Column) -> float | None:
    values = [line.each[seed].get(column.key, Estimate(None)).value for line in (better, worse)]
    return None if values[0] is None or values[1] is None else values[0] - values[1]


def _paired(
    better: Line, worse: Line, seed: str, measures: Sequence[Column], compare: Comparisons
) -> dict[str, Difference]:
    """Return each measure's difference, paired, with interval and p-value, from the pictures that both runs scored."""
    found: dict[str, Difference] = {}
    compared: dict[tuple[str, str], dict[str, Difference]] = {}
    for column in measures:
        a, b = better.evaluation(seed, column.key), worse.evaluation(seed, column.key)
        if a is None or b is None:
            continue
        if (a.name, b.name) not in compared:
            compared[a.name, b.name] = _compared(a, b, (better.source, worse.source), compare)
        if column.key in compared[a.name, b.name]:
            found[column.key] = compared[a.name, b.name][column.key]
    return found


def _compared(
    a: FinishedRun, b: FinishedRun, sources: Sequence[str | None], compare: Comparisons
) -> dict[str, Difference]:
    """Return the differences of all measures that the two runs share; `sources`: whose pictures count; None: all."""
    kinds = {_kind(a), _kind(b)}
    if len(kinds) > 1:
        return {}
    ways: dict[str, tuple[Callable[..., dict[str, Any]], Compare | None]] = {
        "scenes": (scenes.answers_by_id, compare.scenes),
        "general": (general.answers_by_id, compare.general),
        "faces": (_predictions, compare.faces),
    }
    read, paired = ways[kinds.pop()]
    if paired is None:
        return {}
    try:
        ours, theirs = (read(run, source) for run, source in zip((a, b), sources, strict=True))
        shared = [id_ for id_ in ours if id_ in theirs]
        if not shared:
            return {}
        found = paired([ours[id_] for id_ in shared], [theirs[id_] for id_ in shared], b.name)
    except UserError:  # not asked for the same labels, or predictions that do not read: point estimates must do
        return {}
    return {
        f"{row['task']}.{row['metric']}": Difference(estimate(row, "difference"), row["p"], row.get("drawn_from"))
        for row in found["metrics"]
        if row["difference"] is not None
    }


def _kind(run: FinishedRun) -> str:
    return "scenes" if scenes.measures(run, scenes.EMOTION) else "general" if general.asked(run) else "faces"


def _predictions(run: FinishedRun, source: str | None) -> dict[str, Prediction]:
    return {row.id: row for row in run.predictions if source in (None, row.source)}


def orders_table(name: str, title: str, orders: Sequence[ExpectedOrder], measures: Sequence[Column]) -> Table:
    """Return the gains: a row for each expected order, and on how many measures it holds."""
    columns = tuple(
        Column(column.key, column.label.removesuffix(" %"), column.group, column.digits, column.scale)
        for column in measures
    )
    rows = []
    for order in orders:
        cells = {v.column.key: Estimate(v.gain, v.low, v.high) for v in order.verdicts}
        result = f"{order.holds} of {len(order.known)}" if order.known else ""
        rows.append(Row(f"{order.better.words.label} > {order.worse.words.label}", {**cells, "holds": result}))
    caption = (
        "Differences signed so that + is as expected; percentages in points. 95 % paired by subject, on the pictures "
        "that both scored; of several seeds over seeds and subjects together. Holds: on how many measures p < 0.05 "
        "after Holm's correction for all comparisons of this table. "
    )
    caption += " ".join(by_chance(orders))
    return Table(name, title, "Expected order", (*columns, Column("holds", "holds")), tuple(rows), caption)
