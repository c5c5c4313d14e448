"""Expected orders of a study's rows: whether they came out, measure by measure, and whether it may be chance.

Of one seed, two runs are compared on the pictures that both scored, resampled together (faces by subject): the
difference has an interval of its own, far narrower than two separate ones tell. Of several seeds, the differences of
equal seeds have a mean and a spread. Differences are signed so that + is as expected, whether more or less of a measure
is better.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any, Literal, NamedTuple

from seke.core.errors import UserError
from seke.core.intervals import Estimate
from seke.core.records import Prediction
from seke.reporting.data import scenes
from seke.reporting.data.runs import FinishedRun, estimate
from seke.reporting.data.tables import Column, Row, Table, signed
from seke.reporting.studies.runs import Line

Compare = Callable[[Sequence[Any], Sequence[Any], str], Mapping[str, Any]]
"""(ours, theirs, name of theirs) -> {"metrics": rows of task, metric, difference = ours - theirs, ci95}."""
Outcome = Literal["came out", "within chance", "did not come out", "not measured"]


class Comparisons(NamedTuple):
    """How the predictions of two evaluations on the same pictures are compared."""

    faces: Compare
    scenes: Compare


class MeasureVerdict(NamedTuple):
    """By how much the row that should be better is better on one measure."""

    column: Column
    gain: float | None
    low: float | None = None
    high: float | None = None
    """Of one seed: the paired 95 % interval; None where the two could not be paired."""
    each: tuple[float, ...] = ()
    """Of several seeds: the gain in each."""

    @property
    def outcome(self) -> Outcome:
        """What became of the expectation: a gain counts if chance is ruled out, or if every seed shows it.

        Chance is ruled out by an interval without 0; where there is neither interval nor several seeds, the point
        estimate alone decides.
        """
        if self.gain is None:
            return "not measured"
        if self.gain <= 0:
            return "did not come out"
        doubted = min(self.each) <= 0 if self.each else self.low is not None and self.low <= 0
        return "within chance" if doubted else "came out"

    @property
    def text(self) -> str:
        """The gain in words, e.g. "Valence MAE +0.023 (95 % +0.010 to +0.035)"."""
        name = f"{self.column.group} {self.column.label.removesuffix(' %')}"
        if self.gain is None:
            return f"{name} not measured"
        text = f"{name} {self._signed(self.gain)}"
        if self.each:
            agreeing = sum(gain > 0 for gain in self.each)
            spread = f" ± {self._signed(stdev(self.each)).lstrip('+')}" if len(self.each) > 1 else ""
            return f"{text}{spread} ({agreeing} of {len(self.each)} seeds)"
        if self.low is None or self.high is None:
            return f"{text} (point estimates only)"
        return f"{text} (95 % {self._signed(self.low)} to {self._signed(self.high)})"

    def _signed(self, value: float) -> str:
        return signed(value * self.column.scale, self.column.digits)


class ExpectedOrder(NamedTuple):
    """One expected order: `better` above `worse` on every measure."""

    better: Line
    worse: Line
    verdicts: tuple[MeasureVerdict, ...]

    @property
    def came_out(self) -> bool:
        """Whether the point estimates, or the means over seeds, lie in the expected order on every known measure."""
        gains = [verdict.gain for verdict in self.verdicts if verdict.gain is not None]
        return bool(gains) and all(gain > 0 for gain in gains)

    @property
    def sentence(self) -> str:
        """What came of it, in one sentence."""
        known = [verdict for verdict in self.verdicts if verdict.gain is not None]
        head = f"{self.better.words.label} above {self.worse.words.label}"
        if not known:
            return f"{head}: not measured."
        right = sum(verdict.outcome in ("came out", "within chance") for verdict in known)
        result = "came out" if right == len(known) else "DID NOT come out" if not right else "came out only in part"
        clear = sum(verdict.outcome == "came out" for verdict in known)
        parts = "; ".join(verdict.text + _remark(verdict) for verdict in known)
        return f"{head}: {result}, {right} of {len(known)} measures, {clear} beyond chance: {parts}."


def _remark(verdict: MeasureVerdict) -> str:
    if verdict.gain == 0:
        return ", equal"
    if verdict.outcome == "did not come out":
        return ", AGAINST the expectation" + (
            ", within chance" if verdict.high is not None and verdict.high >= 0 else ""
        )
    return ", within chance" if verdict.outcome == "within chance" else ""


def judge_orders(
    lines: Sequence[Line], expect: Sequence[Sequence[str]], measures: Sequence[Column], compare: Comparisons
) -> list[ExpectedOrder]:
    """Judge each expected pair [better row, worse row] of which both rows were measured."""
    rows = {line.key: line for line in lines}
    return [
        ExpectedOrder(rows[a], rows[b], tuple(_verdicts(rows[a], rows[b], measures, compare)))
        for a, b in expect
        if a in rows and b in rows
    ]


def _verdicts(better: Line, worse: Line, measures: Sequence[Column], compare: Comparisons) -> Iterator[MeasureVerdict]:
    seeds = [seed for seed in better.each if seed in worse.each]
    paired = _paired(better, worse, seeds[0], measures, compare) if len(seeds) == 1 else {}
    for column in measures:
        sign = -1 if column.better == "low" else 1
        gains = [sign * gain for seed in seeds if (gain := _difference(better, worse, seed, column)) is not None]
        if len(gains) > 1:
            yield MeasureVerdict(column, fmean(gains), each=tuple(gains))
        elif gains and (found := paired.get(column.key)):
            low, high = sorted(sign * end for end in found[1:] if end is not None) or (None, None)
            yield MeasureVerdict(column, sign * (found.value or 0.0), low, high)
        else:
            yield MeasureVerdict(column, next(iter(gains), None))


def _difference(better: Line, worse: Line, seed: str, column: Column) -> float | None:
    values = [line.each[seed].get(column.key, Estimate(None)).value for line in (better, worse)]
    return None if values[0] is None or values[1] is None else values[0] - values[1]


def _paired(
    better: Line, worse: Line, seed: str, measures: Sequence[Column], compare: Comparisons
) -> dict[str, Estimate]:
    """Return the difference of each measure with its paired interval, from the pictures that both runs scored."""
    found: dict[str, Estimate] = {}
    compared: dict[tuple[str, str], dict[str, Estimate]] = {}
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
) -> dict[str, Estimate]:
    """Return the differences of all measures that the two runs share; `sources`: whose pictures count; None: all."""
    of_scenes = [scenes.measures(run, scenes.EMOTION) for run in (a, b)]
    if any(of_scenes) and not all(of_scenes):
        return {}
    read, paired = (scenes.answers_by_id, compare.scenes) if all(of_scenes) else (_predictions, compare.faces)
    try:
        ours, theirs = (read(run, source) for run, source in zip((a, b), sources, strict=True))
        shared = [id_ for id_ in ours if id_ in theirs]
        if not shared:
            return {}
        found = paired([ours[id_] for id_ in shared], [theirs[id_] for id_ in shared], b.name)
    except UserError:  # not asked for the same labels, or predictions that do not read: point estimates must do
        return {}
    return {
        f"{row['task']}.{row['metric']}": estimate(row, "difference")
        for row in found["metrics"]
        if row["difference"] is not None
    }


def _predictions(run: FinishedRun, source: str | None) -> dict[str, Prediction]:
    return {row.id: row for row in run.predictions if source in (None, row.source)}


def orders_table(name: str, title: str, orders: Sequence[ExpectedOrder], measures: Sequence[Column]) -> Table:
    """Return the gains: a row for each expected order, + where it came out."""
    columns = tuple(
        Column(column.key, column.label.removesuffix(" %"), column.group, column.digits, column.scale)
        for column in measures
    )
    rows = []
    for order in orders:
        cells = {verdict.column.key: _gain(verdict) for verdict in order.verdicts}
        result = "yes" if order.came_out else "no"
        rows.append(Row(f"{order.better.words.label} > {order.worse.words.label}", {**cells, "came_out": result}))
    caption = (
        "Differences signed so that + is as expected; percentages in points. With one seed: 95 % by paired bootstrap "
        "(over subjects, where known), on the pictures that both scored; with several: mean over seeds, ± one standard "
        "deviation. "
        "Came out: + on every measure."
    )
    return Table(name, title, "Expected order", (*columns, Column("came_out", "came out")), tuple(rows), caption)


def _gain(verdict: MeasureVerdict) -> Estimate:
    if verdict.gain is not None and len(verdict.each) > 1:
        spread = stdev(verdict.each)
        return Estimate(verdict.gain, verdict.gain - spread, verdict.gain + spread)
    return Estimate(verdict.gain, verdict.low, verdict.high)
